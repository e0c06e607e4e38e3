import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { register, type User } from '../../test/harness/client.ts';
import { startRawMcp } from '../../test/fakes/mcp.ts';
import { startFakeWeb } from '../../test/fakes/web.ts';
import {
  addProvider,
  created,
  define,
  knock,
  manyCalls,
  startEndlessModel,
  startOrchestration,
  type Step,
} from '../account.ts';
import { ended, goal, inLanes, run, startRun } from '../load.ts';
import type { Single } from '../measure.ts';
import { peakMemory, residentMemory } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { mib, type Row } from '../table.ts';

const rest_ms = 5_000;
const times = 1.3;
/**
 * What one request may hold, by the limits of docs/security.md: of the API the `shared_state` and the forms of an answer, of
 * the worker what a step reads at once and the memory of a script.
 */
const request = { api: (8 + 8) * 1024 ** 2, worker: (16 + 64) * 1024 ** 2 };
const names = ['api', 'worker'] as const;

/** The most that API and worker take while one account sends what the security review sent, one thing after another. */
export const attack: Single = {
  name: 'memory under attack',
  async table(servers) {
    const own = await servers.another();
    try {
      for (let n = 0; n < 5; n += 1) await run(own);
      await registerServer(own); // What the API loads at its first use stays.
      await sleep(rest_ms);
      const idle = await memoryOf(own, residentMemory);
      const peaks: Peak[] = [];
      for (const [what, attackBy] of Object.entries(attacks)) {
        console.error(`  ${what}`);
        const from = await memoryOf(own, residentMemory);
        peaks.push({ what, from, ...(await peaksOf(own, attackBy)) });
      }
      await sleep(rest_ms);
      const after = await memoryOf(own, residentMemory);
      return names.flatMap((name) => rowsOf(name, idle[name], peaks, after[name]));
    } finally {
      await own.stop();
    }
  },
};

type Memory = { api: number; worker: number };
/** `from` is what there was when the attack began: of what came before, not all has been given back by then. */
type Peak = Memory & { what: string; from: Memory };

function rowsOf(name: keyof Memory, idle: number, peaks: Peak[], after: number): Row[] {
  const bar = times * idle + request[name];
  const worst = peaks.toSorted((a, b) => b[name] - a[name])[0]!;
  return [
    { what: `memory of the ${name}, idle`, orchflow: mib(idle) },
    {
      what: `the most while attacked: ${worst.what}`,
      orchflow: mib(worst[name]),
      bar: `≤ ${times} x idle + ${mib(request[name])} of one request = ${mib(bar)}`,
      holds: worst[name] <= bar,
    },
    {
      what: 'of each attack',
      orchflow: peaks.map((peak) => `${peak.what} ${mib(peak.from[name])} to ${mib(peak[name])}`).join(', '),
    },
    { what: 'some seconds later', orchflow: mib(after) },
  ];
}

async function memoryOf({ processes }: Servers, read: (pid: number) => Promise<number>): Promise<Memory> {
  return { api: await read(processes.api), worker: await read(processes.worker) };
}

async function peaksOf(servers: Servers, attackBy: Attack): Promise<Memory> {
  const user = await register(servers.url);
  const { api, worker } = servers.processes;
  for (const pid of [api, worker]) await writeFile(`/proc/${pid}/clear_refs`, '5'); // the peak begins anew
  await attackBy(servers, user);
  return memoryOf(servers, peakMemory);
}

type Attack = (servers: Servers, user: User) => Promise<void>;

/** By their numbers in the review. */
const attacks: Record<string, Attack> = {
  '1 extract_json': extractJson,
  '2 calls that hang': hangingCalls,
  '4 a model that says 429': refusedCalls,
  '8 values of state': longValues,
  '8 schemas of MCP servers': longSchemas,
  '8 definitions': longDefinitions,
  'medium 3 streams': manyStreams,
  'streams with long bodies': longBodies,
  'answers that nobody reads': unreadAnswers,
  'medium 4 endless scripts': endlessScripts,
};

async function extractJson(servers: Servers, user: User): Promise<void> {
  const texts = ["'```' + '\\n'.repeat(450_000)", "'{\"['.repeat(333_000)"];
  const steps = texts.map((transform_code): Step[] => [
    { id: 'make', type: 'transform', transform_code, output_key: 'made', next_step_id: 'read' },
    { id: 'read', type: 'extract_json', input_keys: ['made'] },
  ]);
  await Promise.all(steps.map(async (one) => runMany(servers, user, await define(user, one), 5)));
}

async function hangingCalls(servers: Servers, user: User): Promise<void> {
  const endless = await startEndlessModel();
  await addProvider(user, endless.url);
  const orchestration = await define(user, manyCalls(50));
  const runs = await inLanes(10, 1, () => startOrchestration(user, orchestration));
  await sleep(10_000);
  await Promise.all(runs.map((run_id) => user.post(`/orchestrations/runs/${run_id}/cancel`, {})));
  await Promise.all(runs.map((run_id) => ended(servers, run_id).catch(() => {})));
  endless.down();
}

async function refusedCalls(servers: Servers, user: User): Promise<void> {
  const busy = await startFakeWeb(() => ({ status: 429, headers: { 'retry-after': '3600' }, body: '{}' }));
  const provider_id = await addProvider(user, `${busy.url}/v1`);
  const runs = await inLanes(20, 5, () => user.startRun({ task: goal, provider_id }));
  await sleep(10_000);
  await Promise.all(runs.map((one) => one.cancel()));
  await Promise.all(runs.map(({ run_id }) => ended(servers, run_id).catch(() => {})));
  busy.down();
}

/** Prints that each hold as much as a value may, what merges them, and readers of it all. */
async function longValues(servers: Servers, user: User): Promise<void> {
  const print_content = '{state.user_input}'.repeat(2_700);
  const prints = Array.from({ length: 7 }, (_, n) => ({
    id: `print${n}`,
    type: 'print',
    print_content,
    output_key: `text${n}`,
    next_step_id: n < 6 ? `print${n + 1}` : 'merge',
  }));
  const input_keys = prints.map(({ output_key }) => output_key);
  const steps = [...prints, { id: 'merge', type: 'merge', merge_strategy: 'concat', input_keys, output_key: 'all' }];
  const orchestration = await define(user, steps);
  const runs = await runMany(servers, user, orchestration, 5, 'x'.repeat(20_000));
  await inLanes(20, 5, (n) => user.get(`/orchestrations/runs/${runs[n % runs.length]}`));
}

/** As many servers as are admitted, each with as much as it is let have, and listing as much as is read. */
async function longSchemas({ url }: Servers, user: User): Promise<void> {
  const schema = { type: 'object', properties: { text: { description: 'x'.repeat(95_000) } } };
  const tools = Array.from({ length: 10 }, (_, n) => ({ name: `tool${n}`, inputSchema: schema }));
  const mcp = await startRawMcp([tools]);
  await inLanes(30, 5, (n) => user.post('/tools/mcp', { name: `server${n}`, url: mcp.url }));
  await inLanes(20, 5, () => drain(`${url}/api/v1/tools`, user));
  mcp.down();
}

async function registerServer({ url }: Servers): Promise<void> {
  const mcp = await startRawMcp([[{ name: 'find' }]]);
  await created((await register(url)).post('/tools/mcp', { name: 'small', url: mcp.url }));
  mcp.down();
}

async function longDefinitions({ url }: Servers, user: User): Promise<void> {
  const steps = Array.from({ length: 19 }, (_, n) => ({
    id: `print${n}`,
    name: 'Print',
    type: 'print',
    print_content: 'x'.repeat(49_000),
    next_step_id: n < 18 ? `print${n + 1}` : null,
  }));
  const definition = { name: 'Long', entry_step_id: 'print0', steps };
  const ids: string[] = await inLanes(60, 5, async () => (await created(user.post('/orchestrations', definition))).id);
  await inLanes(20, 5, () => drain(`${url}/api/v1/orchestrations`, user));
  await inLanes(60, 5, (n) => user.delete(`/orchestrations/${ids[n]}`));
}

async function manyStreams(servers: Servers, user: User): Promise<void> {
  const waiting = await startRun({ ...servers, user }, { ask_me_about: ['the audience'] });
  await waiting.untilWaiting('T1');
  const url = `${servers.url}/api/v1/runs/${waiting.run_id}/events`;
  const knocking = knock({ streams: 1_500, url, user });
  await sleep(10_000);
  await waiting.complete('T1', { output: 'Freelancers.' });
  await ended(servers, waiting.run_id);
  knocking.stop();
}

/** As many streams as there may be, each of a request and of a definition that are as long as they may be. */
async function longBodies(servers: Servers, user: User): Promise<void> {
  const endless = await startEndlessModel();
  await addProvider(user, endless.url);
  const prints = Array.from({ length: 18 }, (_, n) => ({
    id: `print${n}`,
    type: 'print',
    print_content: 'x'.repeat(49_000),
    next_step_id: n < 17 ? `print${n + 1}` : null,
  }));
  const ask = { id: 'ask', type: 'llm', timeout_seconds: 3_600, next_step_id: 'print0' };
  const orchestration = await define(user, [ask, ...prints]);
  const body = `{"message":"Go."${' '.repeat(1_000_000)}}`;
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json' };
  const answers = await inLanes(200, 5, () =>
    fetch(`${servers.url}/api/v1/orchestrations/${orchestration}/run/stream`, { method: 'POST', headers, body }),
  );
  await sleep(10_000);
  for (const answer of answers) {
    await answer.body?.cancel();
    const run_id = answer.headers.get('run-id');
    if (run_id) await user.post(`/orchestrations/runs/${run_id}/cancel`, {});
  }
  endless.down();
}

/** The longest answer there is, asked for again and again by a client that never reads. */
async function unreadAnswers(servers: Servers, user: User): Promise<void> {
  const makes = Array.from({ length: 7 }, (_, n) => ({
    id: `make${n}`,
    type: 'transform',
    transform_code: `'x'.repeat(1_000_000)`,
    output_key: `made${n}`,
    next_step_id: n < 6 ? `make${n + 1}` : null,
  }));
  const [run_id] = await runMany(servers, user, await define(user, makes), 1);
  const { hostname, port, host } = new URL(servers.url);
  const request = `GET /api/v1/orchestrations/runs/${run_id} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${user.api_key}\r\n\r\n`;
  const sockets = await inLanes(100, 5, async () => {
    const socket = connect(Number(port), hostname);
    socket.write(request);
    await once(socket, 'readable');
    return socket;
  });
  await sleep(10_000);
  for (const socket of sockets) socket.destroy();
}

async function endlessScripts(servers: Servers, user: User): Promise<void> {
  const loop = { id: 'loop', type: 'transform', transform_code: 'while (true) {}', timeout_seconds: 6 };
  await runMany(servers, user, await define(user, [loop]), 12);
}

/** Resolves with the ids of the runs, when all have ended, however. */
async function runMany(servers: Servers, user: User, orchestration: string, count: number, message?: string) {
  const runs = await inLanes(count, count, () => startOrchestration(user, orchestration, message));
  await Promise.all(runs.map((run_id) => ended(servers, run_id).catch(() => {})));
  return runs;
}

/** Reads an answer to its end and keeps none of it. */
async function drain(url: string, { api_key }: User): Promise<void> {
  const { body } = await fetch(url, { headers: { 'x-api-key': api_key } });
  for await (const _ of body!);
}
