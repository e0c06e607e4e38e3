import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { Context } from 'hono';
import { z } from 'zod';
import { InvalidInputError } from '../errors.ts';
import { line } from '../fields.ts';
import { besides } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';

/** A file that comes as `multipart/form-data`, read as it comes. */

export type UploadedFile = { name: string; media_type: string };

const fileName = z.object({ file: line(255) });
const mediaType = /^[a-z0-9][\w!#$&^.+-]{0,99}\/[a-z0-9][\w!#$&^.+-]{0,99}$/;

/** Whether this is a request whose body is left to its handler, or to nobody where the path does not take the method. */
export function isUpload(c: Context): boolean {
  return c.req.method !== 'GET' && c.req.path === '/api/v1/files';
}

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
  const { incoming } = c.env;
  const busboy = openForm(c.req.header('content-type'));
  const broken = Promise.withResolvers<never>();
  const ended = Promise.withResolvers<void>();
  let part: { content: Readable; file: UploadedFile; received: Promise<T> } | undefined;

  busboy.on('file', (field, content, filename, _encoding, given) => {
    // Whoever reads it hears of it; without anybody it would end the process.
    content.on('error', () => {});
    const fault = field !== 'file' ? unknownPart(field) : part ? tooMany() : faultOf(filename);
    if (fault) {
      content.resume();
      return broken.reject(fault);
    }
    const type = given.toLowerCase();
    const file = { name: filename, media_type: mediaType.test(type) ? type : 'application/octet-stream' };
    part = { content, file, received: receive(content) };
    part.received.catch(broken.reject);
  });
  busboy.on('field', (field) => broken.reject(field === 'file' ? noName() : unknownPart(field)));
  busboy.on('error', () => broken.reject(malformed()));
  busboy.on('finish', ended.resolve);
  const hangUp = () => incoming.complete || broken.reject(new Error('The client has hung up.'));
  incoming.once('close', hangUp);

  try {
    return await besides(c, Infinity, async () => {
      incoming.pipe(busboy);
      await Promise.race([ended.promise, broken.promise]);
      if (!part) throw new InvalidInputError([{ path: ['file'], detail: 'is required' }]);
      return { ...(await Promise.race([part.received, broken.promise])), ...part.file };
    });
  } catch (error) {
    part?.content.destroy(error as Error);
    await part?.received.then(discard, () => {});
    throw error;
  } finally {
    broken.promise.catch(() => {});
    incoming.off('close', hangUp);
    incoming.unpipe(busboy);
  }
}

function openForm(type: string | undefined) {
  try {
    if (!type || !/^multipart\/form-data\b/i.test(type)) throw new Error();
    // One part more than there may be, so that it is told of.
    return new Busboy({ headers: { 'content-type': type }, limits: { parts: 2, headerPairs: 20, headerSize: 8_192 } });
  } catch {
    throw new HttpError('UNSUPPORTED_MEDIA_TYPE', 'Send the file as multipart/form-data, in a part named file.');
  }
}

function faultOf(filename: string | undefined): InvalidInputError | undefined {
  if (filename === undefined) return noName();
  const read = fileName.safeParse({ file: filename });
  if (read.success) return undefined;
  return new InvalidInputError(
    read.error.issues.map(({ message }) => ({ path: ['file'], detail: `its name ${message}` })),
  );
}

function noName(): InvalidInputError {
  return new InvalidInputError([{ path: ['file'], detail: 'must have a filename' }]);
}

function tooMany(): InvalidInputError {
  return new InvalidInputError([{ path: ['file'], detail: 'must be one file; send each in a request of its own' }]);
}

function unknownPart(field: string): InvalidInputError {
  return new InvalidInputError([{ path: [field], detail: 'is not a field of this request' }]);
}

function malformed(): InvalidInputError {
  return new InvalidInputError([{ path: [], detail: 'is not whole multipart/form-data' }]);
}
