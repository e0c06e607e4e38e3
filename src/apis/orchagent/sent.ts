import type { Context } from 'hono';
import { requireRoomForFile } from '../../../db/files.ts';
import { takeCredentials, type LlmCredentials } from '../../calls/credentials.ts';
import type { Called } from '../../calls/called.ts';
import { InvalidInputError } from '../../errors.ts';
import { discardIncoming, receiveFile } from '../../files/incoming.ts';
import { fileQuotasOf, type ReceivedFile } from '../../files/keep.ts';
import { requireReadable } from '../../http/body.ts';
import type { AppEnv } from '../../http/env.ts';
import { readUploads, type UploadedFile, takeUpload } from '../../http/upload.ts';
import { newId } from '../../ids.ts';
import { isObject } from '../../llm/index.ts';
import { OrchagentError } from './envelope.ts';

/** What an agent was called with. Files lie on this machine, until they are kept or discarded. */
export type Sent = { input: Record<string, unknown>; files: ReceivedFile[]; credentials?: LlmCredentials };

/** In one call. */
export const mostFiles = 10;
const mostMetadata = 1024 * 1024;

/** Whether files come, beside which the input is the part `metadata`. */
export function isForm(c: Context): boolean {
  return /^multipart\/form-data\b/i.test(c.req.header('content-type') ?? '');
}

/** Reads what a call was sent with; nothing at all is an empty input. Throws `InvalidInputError`, and what `readUploads` does. */
export async function readSent(c: Context<AppEnv>, called: Called): Promise<Sent> {
  if (isForm(c)) return readForm(c, called);
  const { rest, credentials } = takeCredentials(objectOf(await c.req.text(), []));
  return { input: rest, files: [], ...(credentials && { credentials }) };
}

async function readForm(c: Context<AppEnv>, called: Called): Promise<Sent> {
  const { db, config } = c.var.deps;
  const { account_id } = c.var.principal;
  const quotas = fileQuotasOf(config);
  const end = takeUpload(c, (most) => `files in ${most} requests at once`);
  let metadata = '';
  try {
    await requireRoomForFile(db, account_id, 0, quotas);
    const text = { field: 'metadata', most_bytes: mostMetadata, hear: (value: string) => void (metadata = value) };
    const files = await readUploads(
      c,
      { fields: ['file', 'files[]'], most: mostFiles, text },
      async (content, file) => {
        requireAccepted(called, file);
        return receiveFile(c.var.deps, newId('file'), content);
      },
      ({ path }) => discardIncoming(path),
    );
    try {
      requireReadable(metadata, ['metadata']);
      const { rest, credentials } = takeCredentials(objectOf(metadata, ['metadata']));
      return { input: rest, files, ...(credentials && { credentials }) };
    } catch (error) {
      await discard({ files });
      throw error;
    }
  } finally {
    end();
  }
}

/** Gives up what was read. */
export async function discard({ files }: Pick<Sent, 'files'>): Promise<void> {
  await Promise.all(files.map(({ path }) => discardIncoming(path)));
}

function objectOf(text: string, path: string[]): Record<string, unknown> {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidInputError([{ path, detail: 'is not valid JSON' }]);
  }
  if (!isObject(value)) throw new InvalidInputError([{ path, detail: 'must be a JSON object' }]);
  return value;
}

/** By its type, or, where nothing is said of that, by the end of its name. */
function requireAccepted({ spec }: Called, { name, media_type }: UploadedFile): void {
  const accepts = spec.package?.accepts ?? [];
  const type = media_type === 'application/octet-stream' ? typeByName(name) : media_type;
  const isTaken = accepts.some(
    (one) => one === type || one === '*/*' || (one.endsWith('/*') && type.startsWith(one.slice(0, -1))),
  );
  if (accepts.length === 0 || isTaken) return;
  const message = `The agent takes no ${type}, but ${accepts.join(', ')}.`;
  throw new OrchagentError('UNSUPPORTED_TYPE', message, { members: { accepts } });
}

const types: Record<string, string> = {
  csv: 'text/csv',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  gif: 'image/gif',
  html: 'text/html',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  json: 'application/json',
  md: 'text/markdown',
  pdf: 'application/pdf',
  png: 'image/png',
  txt: 'text/plain',
  webp: 'image/webp',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  xml: 'application/xml',
  zip: 'application/zip',
};

function typeByName(name: string): string {
  return types[/\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? ''] ?? 'application/octet-stream';
}
