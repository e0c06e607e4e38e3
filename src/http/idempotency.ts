import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import {
  answerIdempotencyKey,
  forgetIdempotentAnswer,
  lock_seconds,
  releaseIdempotencyKey,
  takeIdempotencyKey,
  type KeyName,
} from '../../db/idempotency-keys.ts';
import type { IdempotencyKey } from '../../db/schema.ts';
import type { AppEnv } from './env.ts';
import { decrypt, encrypt, isEncryptedWith, sha256, type KeyRing } from '../crypto.ts';
import { InvalidInputError } from '../errors.ts';
import { HttpError } from './problems.ts';

type Kept = { body: string; headers: [string, string][] };

const keptHeaders = ['content-type', 'etag', 'location', 'retry-after'];
/** An answer that names its run in headers has these too: its `X-Request-Id` is made of the id of the run. */
const keptOfRun = ['x-run-id', 'x-orchagent-run-id', 'x-request-id'];

/** In a function of its own: what stands in one that waits for the answer is held as long. */
async function fingerprintOf(c: Context<AppEnv>, more: string[]): Promise<string> {
  return sha256([c.req.method, c.req.path, await c.req.text(), ...more].join('\n'));
}

/**
 * `Idempotency-Key` on POST (draft-ietf-httpapi-idempotency-key-header): the same key and request get the same answer
 * for 24 hours; another request with the key 422; one while the first is at work 409. Answers are kept encrypted,
 * for they may hold secrets that are shown once, and go with the run that they are about. Failures on our side (5xx) are not
 * kept. An answer that has begun goes out as it is written. What depends on the scopes of the API key (`isOfScopes`) is
 * another request with others: nobody gets an answer back that they would not have got.
 */
export function idempotency({ isOfScopes, longest_seconds }: { isOfScopes: boolean; longest_seconds?: number }) {
  return createMiddleware<AppEnv>(async function idempotency(c, next) {
    const idempotency_key = idempotencyKeyOf(c);
    if (idempotency_key === undefined) return next();
    const { db, config } = c.var.deps;
    const { account_id, scopes, person_id, client_id, run_id, mode } = c.var.principal;
    // People, clients and runs do not meet each other's keys, nor those of their account.
    const owner = person_id ?? client_id ?? run_id;
    const ownKey = owner ? `${owner} ${idempotency_key}` : idempotency_key;
    const name = { account_id, idempotency_key: ownKey };
    const context = `orchflow:idempotency:${name.account_id}:${ownKey}`;
    // What a test has begun is no answer to a live request, nor the other way round.
    const fingerprint = await fingerprintOf(c, [...(isOfScopes ? scopes : []), ...(mode === 'test' ? [mode] : [])]);

    let key = await takeIdempotencyKey(db, name, fingerprint, longest_seconds);
    if (!key.taken && key.row.fingerprint === fingerprint && isUnreadable(key.row, config.ENCRYPTION_KEY)) {
      // The key that it was kept with is gone: the request is made again, with the ids that it had.
      await forgetIdempotentAnswer(db, name, key.row.answer_encrypted!);
      key = await takeIdempotencyKey(db, name, fingerprint, longest_seconds);
    }
    if (!key.taken) {
      const { status, answer_encrypted, fingerprint: first } = key.row;
      if (first !== fingerprint) {
        throw new HttpError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for another request.');
      }
      if (status !== null && answer_encrypted === null) {
        throw new HttpError('NOT_FOUND', 'The run that the first request with this Idempotency-Key began is purged.');
      }
      if (status === null || answer_encrypted === null) {
        const detail = 'The first request with this Idempotency-Key is still at work.';
        throw new HttpError('IDEMPOTENCY_KEY_IN_FLIGHT', detail, { retry_after_seconds: 1 });
      }
      const kept = JSON.parse(decrypt(answer_encrypted, config.ENCRYPTION_KEY, context)) as Kept;
      const headers = Object.fromEntries([...kept.headers, ['idempotency-replayed', 'true']]);
      return c.body(kept.body, status as ContentfulStatusCode, headers);
    }

    // The same key a day later is another request, and makes other ids.
    c.set('idempotency', {
      seed: `${context}:${key.created_at}`,
      isRetry: key.taken === 'again',
      idempotency_key: ownKey,
    });
    await next();
    const answer = c.res;
    const release = () => void releaseSoon(c.var.deps, name);
    // What may be asked again finds what the first request made: a stream is followed, and a run waited for, anew.
    const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream');
    const isLeft = answer.status === 202 && c.req.raw.signal.aborted;
    // Who has made room, or waited, asks again.
    const isNotYet = answer.status >= 500 || answer.status === 429;
    if (c.var.keepsNoAnswer) {
      const free = () => releaseIdempotencyKey(db, name).catch(release);
      // Also for a client that has left: its request goes on.
      const freed = c.var.keepsNoAnswer.then(free, free);
      if (!c.var.begun) return freed;
      c.res = new Response(answer.body?.pipeThrough(new TransformStream({ flush: () => freed })), answer);
      return;
    }
    // In a batch it may have failed only since something before it did, which is done when the batch is sent again.
    const isUndone = c.env.isInBatch && !answer.ok;
    if (isNotYet || isStream || isLeft || isUndone) return release();
    const known = answer.headers.has('x-run-id') ? [...keptHeaders, ...keptOfRun] : keptHeaders;
    const headers = [...answer.headers].filter(([header]) => known.includes(header));
    const keep = async (body: string) => {
      const answer_encrypted = encrypt(
        JSON.stringify({ body, headers } satisfies Kept),
        config.ENCRYPTION_KEY,
        context,
      );
      const run_id = c.var.tellsNothingOfRun ? undefined : runNamedIn(c.req.path);
      if (!(await answerIdempotencyKey(db, name, { status: answer.status, answer_encrypted, run_id }))) release();
    };
    if (c.var.begun) c.res = new Response(answer.body?.pipeThrough(keepWhole(keep, release)), answer);
    else await keep(await answer.clone().text());
  });
}

/**
 * The same for what is no POST, within a batch: one that is sent again does none of its operations twice, a DELETE neither, which
 * may mean something else the second time.
 */
export function idempotencyInBatch() {
  const once = idempotency({ isOfScopes: false });
  return createMiddleware<AppEnv>(async function idempotencyInBatch(c, next) {
    return c.env.isInBatch ? once(c, next) : next();
  });
}

/**
 * Releases the key, as soon as Postgres is there again: who was told to try again must not hear then that the first request
 * is at work. After the time of its lock the key is free anyway.
 */
async function releaseSoon({ db, log }: AppEnv['Variables']['deps'], name: KeyName): Promise<void> {
  const end = performance.now() + lock_seconds * 1_000;
  do {
    try {
      return await releaseIdempotencyKey(db, name);
    } catch (error) {
      log.warn({ err: error }, 'an idempotency key is not released yet');
      await sleep(1_000, undefined, { ref: false });
    }
  } while (performance.now() < end);
}

/** Passes on what is written, and keeps it before its end is told. What breaks off, or is left by its reader, is released. */
function keepWhole(keep: (body: string) => Promise<void>, release: () => void) {
  const chunks: Uint8Array[] = [];
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      chunks.push(chunk);
      controller.enqueue(chunk);
    },
    // The white space that kept it alive is not a part of it.
    flush: () => keep(Buffer.concat(chunks).toString().trimStart()).catch(release),
    cancel: release,
  });
}

/** The run that a path is about, also by the id of one of its deliveries. What the answer says of it goes with it. */
function runNamedIn(path: string): string | undefined {
  return /\brun_[0-9a-z]+/.exec(path.replaceAll('msg_', ''))?.[0];
}

function isUnreadable({ answer_encrypted }: IdempotencyKey, keys: KeyRing): boolean {
  return answer_encrypted !== null && !isEncryptedWith(answer_encrypted, keys);
}

/** The `Idempotency-Key` of a request; undefined without one. Throws `InvalidInputError`. */
export function idempotencyKeyOf(c: Context<AppEnv>): string | undefined {
  const idempotency_key = c.req.header('idempotency-key');
  if (idempotency_key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(idempotency_key)) {
    throw new InvalidInputError([{ path: ['Idempotency-Key'], detail: 'must be 1 to 255 visible ASCII characters' }]);
  }
  return idempotency_key;
}
