import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { registerAgent } from '../harness/agent.ts';
import { createAgents, expectError } from '../harness/orchagent.ts';
import { define } from '../harness/orchestration.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { countRows } from '../harness/rows.ts';

/** An account keeps so many answers open in a process: streams and waits, whatever they are of. */

const most = 2;
let orchflow: Orchflow;
let user: User;
/** Nobody works on it, so it stays as it is. */
let run_id: string;
let failed_id: string;
let orchestration: string;
let agent_id: string;
let org: string;

// No worker: nothing ends by itself.
beforeAll(async () => {
  orchflow = await startOrchflow({ environment: { MAX_OPEN_ANSWERS_PER_ACCOUNT: String(most) }, worker: false });
});
afterAll(() => orchflow.stop());

beforeEach(async () => {
  user = await orchflow.register();
  orchestration = await define(user, [{ id: 'print', type: 'print', print_content: 'Hello' }]);
  agent_id = await registerAgent(user);
  org = await createAgents(orchflow.url, user).slug();
  const start = async () =>
    (await user.post(`/orchestrations/${orchestration}/run?wait=0`, { message: 'Go.' })).body.run_id;
  [run_id, failed_id] = [await start(), await start()];
  await orchflow.db.updateTable('runs').set({ status: 'failed' }).where('run_id', '=', failed_id).execute();
});

type Operation = { method: string; path: () => string; body?: object };

/** What is kept open, by its `operationId`. */
const operations: Record<string, Operation> = {
  getRun: { method: 'GET', path: () => `/runs/${run_id}?wait=20` },
  followRun: { method: 'GET', path: () => `/runs/${run_id}/events` },
  getOrchestrationRun: { method: 'GET', path: () => `/orchestrations/runs/${run_id}?wait=20` },
  runOrchestration: {
    method: 'POST',
    path: () => `/orchestrations/${orchestration}/run?wait=20`,
    body: { message: 'Go.' },
  },
  streamOrchestration: {
    method: 'POST',
    path: () => `/orchestrations/${orchestration}/run/stream`,
    body: { message: 'Go.' },
  },
  orchstackGetRun: { method: 'GET', path: () => `/../../v1/runs/${run_id}?wait=20` },
  executeWorkflow: {
    method: 'POST',
    path: () => `/../../v1/workflows/${orchestration}/execute`,
    body: { input: 'Go.' },
  },
  orchstackRunAgent: { method: 'POST', path: () => `/../../v1/agents/${agent_id}/run`, body: { input: 'Go.' } },
  callAgent: { method: 'POST', path: () => `/../../${org}/legal/v1/run`, body: { clause: 'Go.' } },
  retryOrchestrationRun: { method: 'POST', path: () => `/orchestrations/runs/${failed_id}/retry?wait=20`, body: {} },
};
/** Of these the run has to wait for a person first. */
const ofPausedRuns: Record<string, Operation> = {
  resumeOrchestrationRun: {
    method: 'POST',
    path: () => `/orchestrations/runs/${run_id}/resume?wait=20`,
    body: { response: 'Yes.' },
  },
  streamResumedRun: {
    method: 'POST',
    path: () => `/orchestrations/runs/${run_id}/resume/stream`,
    body: { response: 'Yes.' },
  },
};

function call({ method, path, body }: Operation, signal?: AbortSignal): Promise<Response> {
  const headers = { 'x-api-key': user.api_key, ...(body && { 'content-type': 'application/json' }) };
  return fetch(`${orchflow.url}/api/v1${path()}`, { method, headers, body: body && JSON.stringify(body), signal });
}

/** Opens it, and leaves it open until the signal is aborted. Where a probe has taken the place, it comes again. */
function open(operation: Operation, signal: AbortSignal): void {
  const attempt = async (): Promise<unknown> => {
    const response = await call(operation, signal);
    const text = await response.text();
    return response.status === 429 ? attempt() : text;
  };
  attempt().catch(() => {});
}

/** The run is not paused, so that there is nothing to wait for: 409, or 429 when there is no room for a wait. */
const probe = async () => (await call(ofPausedRuns.resumeOrchestrationRun!)).status;
const untilFull = () => until(async () => (await probe()) === 429, 'the last place is taken');
const untilRoom = () => until(async () => (await probe()) === 409, 'there is room again');

test('these are all that is kept open', async () => {
  const { paths } = (await send(orchflow.url, 'GET', '/openapi.json')).body;
  const kept = Object.values<Record<string, any>>(paths)
    .flatMap((path) => Object.values(path))
    .filter(
      ({ parameters = [], responses }) =>
        parameters.some(({ name }: { name: string }) => name === 'wait') ||
        responses['200']?.content?.['text/event-stream'],
    );
  const named = Object.keys({ ...operations, ...ofPausedRuns });
  expect(kept.map(({ operationId }) => String(operationId)).toSorted()).toEqual(named.toSorted());
});

describe.each(Object.entries(operations))('%s', (_name, operation) => {
  test('counts while it is open', async () => {
    const first = new AbortController();
    const second = new AbortController();
    open(operations.followRun!, first.signal);
    open(operation, second.signal);
    await untilFull();
    expect((await user.get(`/runs/${run_id}`)).status, 'what is answered at once').toBe(200);
    second.abort();
    await untilRoom();
    first.abort();
  });
});

test.each(Object.entries({ ...operations, ...ofPausedRuns }))(
  '%s is refused when it would be one too many, and does nothing',
  async (_name, operation) => {
    const leaving = new AbortController();
    for (let n = 0; n < most; n += 1) open(operations.followRun!, leaving.signal);
    await untilFull();
    const rows = await countRows(orchflow.db);
    const response = await call(operation);
    const refused = { status: response.status, headers: response.headers, body: await response.json() };
    const detail = `This account has ${most} streams and waits open here, and may have no more. Close one, or try again later.`;
    if (operation === operations.callAgent) expect(expectError(refused, 'RATE_LIMITED', 429).message).toBe(detail);
    else expectProblem(refused, { status: 429, code: 'LIMIT_REACHED', detail });
    expect(response.headers.get('retry-after')).toBe('5');
    expect(await countRows(orchflow.db)).toEqual(rows);
    leaving.abort();
    await untilRoom();
  },
);

test('a wait that is over, and requests on a connection that is lost, make room', async () => {
  await Promise.all(Array.from({ length: most }, () => user.get(`/runs/${run_id}?wait=1`)));
  await untilRoom();
  const { hostname, port } = new URL(orchflow.url);
  const socket = connect(Number(port), hostname);
  // One after another on one connection: the second is answered after the first.
  const request = `GET /api/v1/runs/${run_id}?wait=20 HTTP/1.1\r\nHost: x\r\nX-API-Key: ${user.api_key}\r\n\r\n`;
  socket.write(request.repeat(most));
  // The first has begun to answer.
  await once(socket, 'data');
  await untilFull();
  socket.destroy();
  await untilRoom();
});

test('one account’s streams are not another’s', async () => {
  const leaving = new AbortController();
  for (let n = 0; n < most; n += 1) open(operations.followRun!, leaving.signal);
  await untilFull();
  const other = await orchflow.register();
  const theirs = await other.startRun({ task: 'Compare.' });
  expect((await other.get(`/runs/${theirs.run_id}?wait=1`)).status).toBe(200);
  leaving.abort();
});
