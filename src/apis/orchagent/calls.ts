import type { Context, Next } from 'hono';
import { accepts } from 'hono/accepts';
import { answerCall, hearAnswer, leaveCall, takeLeftCall } from '../../../db/agent-calls.ts';
import { listCodeRuns } from '../../../db/code-runs.ts';
import { findRunResult, type RunResult } from '../../../db/run-results.ts';
import { findCalled, type Called } from '../../calls/called.ts';
import { startCall } from '../../calls/start.ts';
import { sha256 } from '../../crypto.ts';
import { notFound } from '../../errors.ts';
import { forgetFiles, keepFile, longestPut_ms } from '../../files/keep.ts';
import { besides } from '../../http/deadline.ts';
import type { AppEnv } from '../../http/env.ts';
import { keepOpen } from '../../http/keep-open.ts';
import { notAllowed } from '../../http/problems.ts';
import { sendEvents } from '../../http/sse.ts';
import { requestIdOf, uuidOf } from '../../ids.ts';
import { findAccepted } from '../../runs/start.ts';
import { waitForRun } from '../../runs/wait.ts';
import { envelopeOf, hasAnswer, type Told } from './call-answer.ts';
import { readHeaders, readVerbose, type CallHeaders } from './call-headers.ts';
import { callToEvents } from './call-stream.ts';
import { discard, readSent, type Sent } from './sent.ts';

/** `POST /{org}/{agent}/{version}/{endpoint}`: an agent is called, and its answer waited for. */

/** An answer is held for so long at most, in milliseconds. No white space comes before it: its status is true. */
const longestHold_ms = 600_000;

/** A call, as it is known before it begins. */
type Call = {
  called: Called;
  headers: CallHeaders;
  isVerbose: boolean;
  sent: Sent;
  fingerprint: string;
  began: number;
};

/** Between its middlewares. */
const calls = new WeakMap<Context, Call>();

/** Calls are posted; what a path of one takes is told to anybody. */
export async function takePost(c: Context<AppEnv>, next: Next) {
  if (c.req.method === 'OPTIONS') return c.body(null, 204, { Allow: 'POST, OPTIONS' });
  if (c.req.method !== 'POST') throw notAllowed(c.req.method, ['POST']);
  await next();
}

/**
 * Reads a call. From here on its body is without credentials: it is what an `Idempotency-Key` is held against, and what tells two
 * calls apart. Files that are not kept in the end are discarded.
 */
export async function readCall(c: Context<AppEnv>, next: Next) {
  const began = performance.now();
  const [, org, agent, version, endpoint] = c.req.path.split('/').map(decoded) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const isVerbose = readVerbose(c);
  const headers = readHeaders(c);
  const called = await findCalled(c.var.deps.db, c.var.principal, { org, agent, version, endpoint });
  const sent = await readSent(c, called);
  const { tenant, skills } = headers;
  const files = sent.files.map(({ name, media_type, sha256: hash }) => [name, media_type, hash]);
  const said = JSON.stringify({ input: sent.input, files, tenant, skills });
  Object.assign(c.req.bodyCache, { text: Promise.resolve(said) });
  const fingerprint = sha256([c.req.path, said].join('\n'));
  calls.set(c, { called, headers, isVerbose, sent, fingerprint, began });
  try {
    await next();
  } finally {
    await discard(sent);
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return '';
  }
}

/** Begins the call, or takes up one that its client has left, and answers when it has come to something. */
export async function answerToCall(c: Context<AppEnv>) {
  const { called, began, isVerbose } = calls.get(c)!;
  const isStream = prefersEvents(c);
  keepOpen(c);
  const run_id = await begin(c);
  c.set('requestId', requestIdOf(run_id));
  for (const [name, value] of headersOf(called, run_id)) c.header(name, value);
  const told: Told = { version: called.version, began, isVerbose };
  return isStream ? stream(c, run_id, told) : hold(c, run_id, told);
}

/** Who takes both gets JSON. */
function prefersEvents(c: Context): boolean {
  const supports = ['application/json', 'text/event-stream'];
  return accepts(c, { header: 'Accept', supports, default: 'application/json' }) === 'text/event-stream';
}

async function begin(c: Context<AppEnv>): Promise<string> {
  const { deps, principal, idempotency } = c.var;
  const { called, headers, sent, fingerprint } = calls.get(c)!;
  const { db, runEvents } = deps;
  const { listener } = runEvents;
  const { key_id } = principal;
  const left = idempotency ? undefined : await takeLeftCall(db, { key_id, fingerprint, listener });
  if (left) return left;
  // Before its files are kept once more.
  const accepted = await findAccepted(db, principal, idempotency);
  if (accepted) {
    await hearAnswer(db, accepted, listener);
    return accepted;
  }
  const files = await keepAll(c, sent);
  const { credentials, input } = sent;
  const { tenant, chain, skills } = headers;
  try {
    const request = { input, files, credentials, tenant, chain, skills, fingerprint, listener };
    return await startCall(
      { ...deps, encryptionKey: deps.config.ENCRYPTION_KEY },
      principal,
      called,
      request,
      idempotency,
    );
  } catch (error) {
    forgetFiles(deps, files);
    throw error;
  }
}

async function keepAll(c: Context<AppEnv>, { files }: Sent): Promise<string[]> {
  const { deps, principal } = c.var;
  const { config } = deps;
  const quotas = { most: config.MAX_FILES_PER_ACCOUNT, most_bytes: config.MAX_FILE_BYTES_PER_ACCOUNT };
  const kept: string[] = [];
  try {
    for (const file of files) {
      const { file_id } = await keepFile(deps, principal, file, { request_id: null, quotas }, (put) =>
        besides(c, longestPut_ms, put),
      );
      kept.push(file_id);
    }
    return kept;
  } catch (error) {
    forgetFiles(deps, kept);
    throw error;
  }
}

function* headersOf(called: Called, run_id: string): Generator<[string, string]> {
  const uuid = uuidOf(run_id);
  yield ['X-Run-Id', uuid];
  yield ['X-Orchagent-Run-Id', uuid];
  yield ['X-Request-Id', requestIdOf(run_id)];
  const { deprecated, name, endpoint } = called;
  if (!deprecated) return;
  yield ['Deprecation', 'true'];
  yield ['Sunset', deprecated.sunset.toUTCString()];
  if (!deprecated.successor) return;
  const path = [...name.split('/'), deprecated.successor, endpoint].map(encodeURIComponent).join('/');
  yield ['Link', `</${path}>; rel="successor-version"`];
}

const readerOf = (c: Context<AppEnv>, run_id: string) => (): Promise<RunResult | undefined> =>
  findRunResult(c.var.deps.db, c.var.principal.account_id, run_id);

async function hold(c: Context<AppEnv>, run_id: string, told: Told) {
  const { runEvents } = c.var.deps;
  const { signal } = c.req.raw;
  const left = () => void setLeft(c, run_id);
  signal.addEventListener('abort', left);
  const wait = { read: readerOf(c, run_id), hasResult: hasAnswer };
  const most_ms = longestHold_ms;
  const found = await besides(c, most_ms, () => waitForRun(runEvents, run_id, wait, { most_ms, signal }));
  if (!found) throw notFound('Run');
  await settle(c, run_id, hasAnswer(found) && !signal.aborted);
  signal.removeEventListener('abort', left);
  const envelope = envelopeOf(found, await withCode(c, run_id, told));
  if (found.status !== 'waiting_human') return c.json(envelope, 200);
  // Who asks again later hears what has become of it.
  c.set('keepsNoAnswer', Promise.resolve());
  return c.json(envelope, 202);
}

function stream(c: Context<AppEnv>, run_id: string, told: Told) {
  const { runEvents } = c.var.deps;
  const onEnd = (isAnswered: boolean) => settle(c, run_id, isAnswered);
  const { max_turns } = calls.get(c)!.called.spec;
  const followed = {
    run_id,
    runEvents,
    read: readerOf(c, run_id),
    most_ms: longestHold_ms,
    max_turns,
    told: () => withCode(c, run_id, told),
    onEnd,
  };
  return sendEvents(c, (signal) => callToEvents(followed, signal));
}

/** With how its code ended, where the agent is code. */
async function withCode(c: Context<AppEnv>, run_id: string, told: Told): Promise<Told> {
  if (calls.get(c)!.called.engine !== 'code_runtime') return told;
  return { ...told, code: (await listCodeRuns(c.var.deps.db, run_id)).at(-1) };
}

/** Whoever asks for the same again wants it done again, or, where nobody has got the answer, that answer. */
async function settle(c: Context<AppEnv>, run_id: string, isAnswered: boolean): Promise<void> {
  if (isAnswered) await answerCall(c.var.deps.db, run_id);
  else await setLeft(c, run_id);
}

async function setLeft(c: Context<AppEnv>, run_id: string): Promise<void> {
  const { db, log, runEvents } = c.var.deps;
  // Not said, it is seen when this process is gone.
  await leaveCall(db, run_id, runEvents.listener).catch((err: unknown) => log.warn({ err }, 'a call is not left yet'));
}
