import type { Context, Next } from 'hono';
import { findCall, hearAnswer, takeLeftCall } from '../../../db/agent-calls.ts';
import { listCodeRuns } from '../../../db/code-runs.ts';
import { findRunResult, type RunResult } from '../../../db/run-results.ts';
import { isStorable } from '../../../workflows/contract/form.ts';
import { cutAtLimit } from '../../../workflows/contract/warnings.ts';
import { findCalled, type Called } from '../../calls/called.ts';
import { tokenOf } from '../../calls/credentials.ts';
import { startCall } from '../../calls/start.ts';
import { sha256 } from '../../crypto.ts';
import { notFound } from '../../errors.ts';
import { fileQuotasOf, keepFilesWith, longestPut_ms } from '../../files/keep.ts';
import { forgetBody } from '../../http/body.ts';
import { besides } from '../../http/deadline.ts';
import type { AppEnv } from '../../http/env.ts';
import { keepOpen } from '../../http/keep-open.ts';
import { notAllowed } from '../../http/problems.ts';
import { inSilence } from '../../http/silence.ts';
import { prefersEvents, sendEvents } from '../../http/sse.ts';
import { requestIdOf, uuidOf } from '../../ids.ts';
import { findAccepted } from '../../runs/start.ts';
import { waitForRun } from '../../runs/wait.ts';
import { envelopeOf, hasAnswer, type Told } from './call-answer.ts';
import { readHeaders, readVerbose, type CallHeaders } from './call-headers.ts';
import { callToEvents } from './call-stream.ts';
import { discard, readSent, type Sent } from './sent.ts';
import { waitOn, type Waiting } from './waiting.ts';

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
  // Also of what is refused.
  for (const [name, value] of deprecationOf(called)) c.header(name, value);
  const sent = await readSent(c, called);
  try {
    calls.set(c, { called, headers, isVerbose, sent, fingerprint: keepWhatIsSaid(c, headers, sent), began });
    await next();
  } finally {
    await discard(sent);
  }
}

/** Returns its hash. In a function of its own: what stands in one that waits for the answer is held as long. */
function keepWhatIsSaid(c: Context<AppEnv>, { tenant, skills, chain }: CallHeaders, sent: Sent): string {
  const files = sent.files.map(({ name, media_type, sha256: hash }) => [name, media_type, hash]);
  const said = JSON.stringify({ input: sent.input, files, tenant, skills, ...boundsOf(chain) });
  Object.assign(c.req.bodyCache, { text: Promise.resolve(said) });
  const credentials = sent.credentials && tokenOf(c.var.deps.config.ENCRYPTION_KEY, sent.credentials);
  return sha256([c.req.path, said, credentials].join('\n'));
}

/** What a call must keep to below: who asks with others asks for something else. Its deadline is another one each time. */
function boundsOf({ max_hops, downstream_remaining, is_strict }: CallHeaders['chain']) {
  // Without any, calls are the same as those that were left before these were looked at.
  return { max_hops, downstream_remaining, is_strict: is_strict || undefined };
}

function decoded(segment: string): string {
  try {
    const text = decodeURIComponent(segment);
    // Postgres finds nothing by a NUL, and fails.
    return isStorable(text) ? text : '';
  } catch {
    return '';
  }
}

/** Begins the call, or takes up one that its client has left, and answers when it has come to something. */
export async function answerToCall(c: Context<AppEnv>) {
  const { began, isVerbose } = calls.get(c)!;
  const isStream = prefersEvents(c);
  keepOpen(c);
  const waiting = waitOn(c);
  const run_id = await begin(c, waiting).finally(waiting.begun);
  // An account has 200 calls open, each of which may have come with 6 MiB.
  calls.get(c)!.sent.input = {};
  forgetBody(c);
  c.set('requestId', requestIdOf(run_id));
  for (const [name, value] of headersOf(run_id)) c.header(name, value);
  const told = { ...(await callToldOf(c, run_id)), began, isVerbose };
  return isStream ? stream(c, run_id, told, waiting) : hold(c, run_id, told, waiting);
}

/** Of a call that its client has left, the version that it was of, and what it was warned of. */
async function callToldOf(c: Context<AppEnv>, run_id: string): Promise<Pick<Told, 'version' | 'known'>> {
  const { deps, principal } = c.var;
  const call = await findCall(deps.db, principal.account_id, run_id);
  if (!call) throw notFound('Run');
  const cut = { code: 'TRUNCATED', message: cutAtLimit(calls.get(c)!.called.spec.name) };
  return { version: call.version, known: [...call.warnings, cut] };
}

async function begin(c: Context<AppEnv>, { waiter, listener }: Waiting): Promise<string> {
  const { deps, principal, idempotency } = c.var;
  const { called, headers, sent, fingerprint } = calls.get(c)!;
  const { db, config } = deps;
  const waits = { waiter, listener };
  const left = idempotency ? undefined : await takeLeftCall(db, { key_id: principal.key_id, fingerprint }, waits);
  if (left) return left;
  // Before its files are kept once more.
  const accepted = await findAccepted(db, principal, idempotency);
  if (accepted) {
    await hearAnswer(db, accepted, waits);
    return accepted;
  }
  const { credentials, input, files } = sent;
  const { tenant, chain, skills } = headers;
  const duringPut = (put: () => Promise<void>) => besides(c, longestPut_ms, put);
  const quotas = fileQuotasOf(config);
  const callDeps = { ...deps, encryptionKey: config.ENCRYPTION_KEY };
  const request = { input, credentials, tenant, chain, skills, fingerprint, waiter: waits };
  return keepFilesWith(deps, principal.account_id, files, { quotas, duringPut }, (kept) =>
    startCall(callDeps, principal, called, { ...request, files: kept }, idempotency),
  );
}

function* headersOf(run_id: string): Generator<[string, string]> {
  const uuid = uuidOf(run_id);
  yield ['X-Run-Id', uuid];
  yield ['X-Orchagent-Run-Id', uuid];
  yield ['X-Request-Id', requestIdOf(run_id)];
}

function* deprecationOf(called: Called): Generator<[string, string]> {
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

async function hold(c: Context<AppEnv>, run_id: string, told: Told, waiting: Waiting) {
  const { runEvents } = c.var.deps;
  const { signal } = c.req.raw;
  const wait = { read: readerOf(c, run_id), hasResult: hasAnswer };
  const most_ms = longestHold_ms;
  const found = await inSilence(c, most_ms, () => waitForRun(runEvents, run_id, wait, { most_ms, signal }));
  if (!found) throw notFound('Run');
  const whole = await withCode(c, run_id, told);
  if (hasAnswer(found)) waiting.isAnswer();
  const envelope = envelopeOf(found, whole);
  if (found.status !== 'waiting_human') return c.json(envelope, 200);
  // Who asks again later hears what has become of it.
  c.set('keepsNoAnswer', Promise.resolve());
  c.header('Location', `/api/v1/runs/${run_id}`);
  return c.json(envelope, 202);
}

function stream(c: Context<AppEnv>, run_id: string, told: Told, { isAnswer }: Waiting) {
  const { runEvents } = c.var.deps;
  const { max_turns } = calls.get(c)!.called.spec;
  const followed = {
    run_id,
    runEvents,
    read: readerOf(c, run_id),
    most_ms: longestHold_ms,
    max_turns,
    told: () => withCode(c, run_id, told),
    isAnswer,
  };
  return sendEvents(c, (signal) => callToEvents(followed, signal));
}

/** With how its code ended, where the agent is code. Another version may have another engine. */
async function withCode(c: Context<AppEnv>, run_id: string, told: Told): Promise<Told> {
  const { engine, version } = calls.get(c)!.called;
  if (engine !== 'code_runtime' && version === told.version) return told;
  return { ...told, code: (await listCodeRuns(c.var.deps.db, run_id)).at(-1) };
}
