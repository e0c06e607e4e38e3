import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { Context } from 'hono';
import { z } from 'zod';
import { InvalidInputError } from '../errors.ts';
import { line } from '../fields.ts';
import { besides } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';

/** Files that come as `multipart/form-data`, read as they come. */

export type UploadedFile = { name: string; media_type: string };

const fileName = z.object({ file: line(255) });
const mediaType = /^[a-z0-9][\w!#$&^.+-]{0,99}\/[a-z0-9][\w!#$&^.+-]{0,99}$/;

/**
 * Counts one more upload of the account. Returns the function that takes it back. Throws `LIMIT_REACHED` where there are too many at
 * once.
 */
export function takeUpload(c: Context<AppEnv>, said = (most: number) => `${most} files at once`): () => void {
  const { uploads } = c.var.deps;
  const end = uploads.take(c.var.principal.account_id);
  if (end) return end;
  const detail = `This account sends ${said(uploads.most)}, and may send no more. Try again when one has come.`;
  throw new HttpError('LIMIT_REACHED', detail, { retry_after_seconds: 5 });
}

/** Whether this is a request whose body is left to its handler, or to nobody where the path does not take the method. */
export function isUpload(c: Context): boolean {
  const isOfFiles = c.req.path === '/api/v1/files' && c.req.method !== 'GET';
  const isOfCode = /^\/agents\/[^/]+\/upload$/.test(c.req.path);
  return isOfFiles || isOfCode || /^\/v1\/knowledge\/[^/]+\/upload$/.test(c.req.path);
}

/**
 * What is taken: parts of these names, the first of which is told of, and how many files. `text`: a part beside them, which is a
 * text, may come, and then there need be no file.
 */
type Taken = {
  fields: [string, ...string[]];
  most: number;
  text?: { field: string; most_bytes: number; hear: (text: string) => void };
};

const oneFile: Taken = { fields: ['file'], most: 1 };

/**
 * Hands the one part `file` of the body to `receive`, which reads it to its end, and returns what that made of it. When something
 * else comes, or the body breaks off, `receive` fails or `discard` is told, and this throws: a 415, or a 422 that names the part.
 * How long the client takes is no part of our own time.
 */
export async function readUpload<T>(
  c: Context<AppEnv>,
  receive: (content: Readable) => Promise<T>,
  discard: (received: T) => Promise<void>,
): Promise<T & UploadedFile> {
  const [file] = await readUploads(c, oneFile, receive, discard);
  return file!;
}

/** The same of up to `most` files, one after another. All of them are received, or none. */
export async function readUploads<T>(
  c: Context<AppEnv>,
  taken: Taken,
  receive: (content: Readable, file: UploadedFile) => Promise<T>,
  discard: (received: T) => Promise<void>,
): Promise<(T & UploadedFile)[]> {
  const { incoming } = c.env;
  const [named] = taken.fields;
  const busboy = openForm(c.req.header('content-type'), taken);
  const broken = Promise.withResolvers<never>();
  const ended = Promise.withResolvers<void>();
  const parts: { content: Readable; file: UploadedFile; received: Promise<T> }[] = [];
  const texts: Promise<string>[] = [];

  busboy.on('file', (field, content, filename, _encoding, given) => {
    // Whoever reads it hears of it; without anybody it would end the process.
    content.on('error', () => {});
    // So browsers send a text that has a type.
    if (field === taken.text?.field) return takeText(field, readText(content, taken.text.most_bytes));
    const fault = !taken.fields.includes(field)
      ? unknownPart(field)
      : parts.length >= taken.most
        ? tooMany(taken)
        : faultOf(named, filename);
    if (fault) {
      content.resume();
      return broken.reject(fault);
    }
    const type = given.toLowerCase();
    const file = { name: filename, media_type: mediaType.test(type) ? type : 'application/octet-stream' };
    const part = { content, file, received: receive(content, file) };
    parts.push(part);
    part.received.catch(broken.reject);
  });
  busboy.on('field', (field, value, _isNameCut, isCut) => {
    if (field !== taken.text?.field)
      return broken.reject(taken.fields.includes(field) ? noName(named) : unknownPart(field));
    takeText(field, Promise.resolve(isCut ? undefined : value));
  });
  function takeText(field: string, reading: Promise<string | undefined>): void {
    const text = reading.then((value) => {
      if (value === undefined) throw faultIn(field, `must have at most ${taken.text!.most_bytes} bytes`);
      return value;
    });
    text.catch(broken.reject);
    if (texts.push(text) > 1) broken.reject(faultIn(field, 'is given more than once'));
  }
  busboy.on('error', () => broken.reject(malformed()));
  busboy.on('finish', ended.resolve);
  const hangUp = () => incoming.complete || broken.reject(new Error('The client has hung up.'));
  incoming.once('close', hangUp);

  try {
    return await besides(c, Infinity, async () => {
      incoming.pipe(busboy);
      await Promise.race([ended.promise, broken.promise]);
      if (parts.length === 0 && texts.length === 0) throw faultIn(named, 'is required');
      const received = await Promise.race([Promise.all(parts.map((part) => part.received)), broken.promise]);
      for (const text of await Promise.race([Promise.all(texts), broken.promise])) taken.text?.hear(text);
      return received.map((one, index) => ({ ...one, ...parts[index]!.file }));
    });
  } catch (error) {
    for (const { content } of parts) content.destroy(error as Error);
    await Promise.all(parts.map(({ received }) => received.then(discard, () => {})));
    throw error;
  } finally {
    broken.promise.catch(() => {});
    incoming.off('close', hangUp);
    incoming.unpipe(busboy);
  }
}

/** Undefined where there is more. What is beyond is read all the same, so that what comes after it is. */
async function readText(content: Readable, most_bytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of content as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= most_bytes) chunks.push(chunk);
  }
  return size <= most_bytes ? Buffer.concat(chunks).toString() : undefined;
}

function openForm(type: string | undefined, { fields, most, text }: Taken) {
  try {
    if (!type || !/^multipart\/form-data\b/i.test(type)) throw new Error();
    // One part more than there may be, so that it is told of.
    const parts = most + (text ? 2 : 1);
    const limits = { parts, headerPairs: 20, headerSize: 8_192, ...(text && { fieldSize: text.most_bytes }) };
    return new Busboy({ headers: { 'content-type': type }, limits });
  } catch {
    const what = most === 1 ? 'the file' : 'the files';
    const detail = `Send ${what} as multipart/form-data, in a part named ${fields[0]}.`;
    throw new HttpError('UNSUPPORTED_MEDIA_TYPE', detail);
  }
}

function faultOf(field: string, filename: string | undefined): InvalidInputError | undefined {
  if (filename === undefined) return noName(field);
  const read = fileName.safeParse({ file: filename });
  if (read.success) return undefined;
  return new InvalidInputError(
    read.error.issues.map(({ message }) => ({ path: [field], detail: `its name ${message}` })),
  );
}

function noName(field: string): InvalidInputError {
  return new InvalidInputError([{ path: [field], detail: 'must have a filename' }]);
}

function tooMany({ fields, most }: Taken): InvalidInputError {
  const many = most === 1 ? 'one file' : `at most ${most} files`;
  const rest = most === 1 ? 'send each in a request of its own' : 'send the others in another request';
  return new InvalidInputError([{ path: [fields[0]], detail: `must be ${many}; ${rest}` }]);
}

function unknownPart(field: string): InvalidInputError {
  return faultIn(field, 'is not a field of this request');
}

function faultIn(field: string, detail: string): InvalidInputError {
  return new InvalidInputError([{ path: [field], detail }]);
}

function malformed(): InvalidInputError {
  return new InvalidInputError([{ path: [], detail: 'is not whole multipart/form-data' }]);
}
