import type { Context } from 'hono';
import { z } from 'zod';
import { findFile, listFiles, requireRoomForFile, type FileView } from '../../../../db/files.ts';
import { notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import { discardIncoming, fileTooLarge, maxFileBytes, receiveFile } from '../../../files/incoming.ts';
import { deleteOwnFile, fileQuotasOf, keepFile, longestPut_ms, openFile } from '../../../files/keep.ts';
import { pageOf, readCursor } from '../../../http/cursor.ts';
import { besides } from '../../../http/deadline.ts';
import type { AppEnv } from '../../../http/env.ts';
import { createRouter, fileBody, fileContent, json, links, route } from '../../../http/openapi.ts';
import { idempotencyKeyOf } from '../../../http/idempotency.ts';
import { readUpload, takeUpload } from '../../../http/upload.ts';
import { newId } from '../../../ids.ts';
import { fileDeletedSchema, fileListQuery, fileListSchema, fileSchema } from '../schemas/file.ts';

export const filesRouter = createRouter();

const params = z.object({ file_id: id });

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createFile',
  scope: 'files:write',
  tags: ['Files'],
  summary: 'Keep a file, of at most 25 MiB',
  description:
    'The body is `multipart/form-data` with one part `file`, which has a filename: `curl -F file=@brief.md`. It is written as it ' +
    'comes, and is there whole or not at all. The same `Idempotency-Key` and file get the same answer, for as long as the file is there.',
  isUpload: true,
  request: { body: fileBody('The file, with its name and media type.') },
  responses: { 201: json(fileSchema, 'The file is kept') },
  links: links({ file_id: '/file_id' }, 'getFile', 'getFileContent', 'deleteFile'),
});

filesRouter.openapi(create, async (c) => {
  const { db, config } = c.var.deps;
  const { account_id } = c.var.principal;
  const quotas = fileQuotasOf(config);
  const request_id = requestIdOf(c);
  const end = takeUpload(c);
  try {
    // Parts have some lines of their own.
    if (Number(c.req.header('content-length') ?? 0) > maxFileBytes + 65_536) throw fileTooLarge();
    await requireRoomForFile(db, account_id, 0, quotas);
    const received = await readUpload(
      c,
      (content) => receiveFile(c.var.deps, newId('file'), content),
      ({ path }) => discardIncoming(path),
    );
    const kept = await keepFile(c.var.deps, c.var.principal, received, { request_id, quotas }, (put) =>
      besides(c, longestPut_ms, put),
    );
    return c.json(kept, 201);
  } finally {
    end();
  }
});

/** What says that an upload is made again, of the account's `Idempotency-Key`; null without one. */
function requestIdOf(c: Context<AppEnv>): string | null {
  const idempotency_key = idempotencyKeyOf(c);
  if (idempotency_key === undefined) return null;
  const { account_id, client_id } = c.var.principal;
  const owner = client_id ? `${account_id} ${client_id}` : account_id;
  const seed = `orchflow:upload:${owner}:${idempotency_key}`;
  return newId('request', { seed, isRetry: false, idempotency_key });
}

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listFiles',
  scope: 'files:read',
  tags: ['Files'],
  summary: 'The files of this account, newest first',
  description: 'Pass `next_cursor` as `cursor` for the page after this one.',
  request: { query: fileListQuery },
  responses: { 200: json(fileListSchema, 'A page of files') },
  links: {
    ...links({ file_id: '/files/0/file_id' }, 'getFile'),
    ...links({ cursor: '/next_cursor' }, 'listFiles'),
  },
});

filesRouter.openapi(list, async (c) => {
  const { limit, cursor } = c.req.valid('query');
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const found = await listFiles(c.var.deps.db, c.var.principal.account_id, { limit: limit + 1, after });
  const { items: files, ...page } = pageOf(found, limit, ({ file_id }) => file_id);
  return c.json({ files, ...page }, 200);
});

async function getFile(c: Context<AppEnv>, file_id: string): Promise<FileView> {
  const file = await findFile(c.var.deps.db, c.var.principal.account_id, file_id);
  if (!file) throw notFound('File');
  return file;
}

const get = route({
  method: 'get',
  path: '/{file_id}',
  operationId: 'getFile',
  scope: 'files:read',
  tags: ['Files'],
  summary: 'What a file is',
  description: 'Its name, media type, size and SHA-256.',
  request: { params },
  responses: { 200: json(fileSchema, 'The file, without its bytes') },
  problems: [404],
});

filesRouter.openapi(get, async (c) => c.json(await getFile(c, c.req.valid('param').file_id), 200));

const getContent = route({
  method: 'get',
  path: '/{file_id}/content',
  operationId: 'getFileContent',
  scope: 'files:read',
  tags: ['Files'],
  summary: 'The bytes of a file',
  description: 'As a download under its name, whatever its media type: no browser shows it as a page of this server.',
  request: { params },
  responses: { 200: fileContent('The bytes') },
  problems: [404],
});

filesRouter.openapi(getContent, async (c) => {
  const file = await getFile(c, c.req.valid('param').file_id);
  // Nobody would read it.
  const bytes = c.req.method === 'HEAD' ? null : await openFile(c.var.deps, file.file_id);
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Content-Length': String(file.size),
    'Content-Disposition': `attachment; filename*=UTF-8''${inHeader(file.name)}`,
    'Content-Security-Policy': "default-src 'none'; sandbox",
  };
  return bytes ? c.body(bytes, 200, headers) : c.body(null, 200, headers);
});

/** As RFC 8187 has it. */
function inHeader(name: string): string {
  return encodeURIComponent(name).replaceAll(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

const remove = route({
  method: 'delete',
  path: '/{file_id}',
  operationId: 'deleteFile',
  scope: 'files:write',
  tags: ['Files'],
  summary: 'Delete a file',
  description: 'At once nobody finds it any more, and its bytes go a moment later.',
  request: { params },
  responses: { 200: json(fileDeletedSchema, 'Nobody finds it any more') },
  problems: [404],
});

filesRouter.openapi(remove, async (c) => {
  const { file_id } = c.req.valid('param');
  await deleteOwnFile(c.var.deps, c.var.principal, file_id);
  return c.json({ file_id, status: 'deleted' as const, message: 'File deleted.' }, 200);
});
