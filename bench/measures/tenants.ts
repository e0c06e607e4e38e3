import { setTimeout as sleep } from 'node:timers/promises';
import { register, until } from '../../test/harness/client.ts';
import {
  addProvider,
  define,
  endlessScript,
  knock,
  manyCalls,
  startEndlessModel,
  startOrchestration,
} from '../account.ts';
import { agents, ended, goal, repeat, time } from '../load.ts';
import type { Single } from '../measure.ts';
import { cpuTime, type ByProcess } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { median, ms, p99, percent, type Row } from '../table.ts';

const hangingRuns = 10;
const callsOfRun = 50;
const scripts = 12;
const streams = 1_500;
const settling_ms = 15_000;
const samples = 9;
const mostTimes = 2;
const mostRead_ms = 100;
const reads = 250;
/** Below what an account may ask in a minute. */
const betweenReads_ms = 200;

/** What another account notices of one that takes all it can get, in hosted mode with the settings that it comes with. */
export const tenants: Single = {
  name: 'tenants',
  async table(servers) {
    const own = await servers.another({ ORCHFLOW_MODE: 'hosted' });
    own.model.answerAfter(50);
    const endless = await startEndlessModel();
    try {
      const honest = await becomeHonest(own);
      const quiet = await experience(honest);
      const hostile = await becomeHostile(own, endless);
      const beside = await experience(honest);
      hostile.stop();
      return rowsOf(quiet, beside, hostile.taken());
    } finally {
      endless.down();
      await own.stop();
    }
  },
};

type EndlessModel = Awaited<ReturnType<typeof startEndlessModel>>;
type Honest = { goalRun: () => Promise<void>; scriptRun: () => Promise<void>; read: () => Promise<boolean> };
type Experience = Record<keyof Honest, number[]>;

async function becomeHonest(servers: Servers): Promise<Honest> {
  const { url, model } = servers;
  const user = await register(url);
  const provider_id = await addProvider(user, `${model.url}/openai/v1`);
  const start = () => user.startRun({ task: goal, agents, provider_id });
  const orchestration = await define(user, [
    { id: 'sum', type: 'transform', transform_code: '1 + 1', next_step_id: 'ask' },
    { id: 'ask', type: 'llm' },
  ]);
  const goalRun = async () => ended(servers, (await start()).run_id);
  const scriptRun = async () => ended(servers, await startOrchestration(user, orchestration));
  const { run_id } = await start();
  const read = async () => (await user.get(`/runs/${run_id}`)).status === 200;
  await goalRun();
  await scriptRun();
  return { goalRun, scriptRun, read };
}

/** How long each thing takes, in milliseconds; for ever, where it is answered with an error. The reads go on beside the runs. */
async function experience({ goalRun, scriptRun, read }: Honest): Promise<Experience> {
  const reading = repeat(reads, async () => {
    let isAnswered = false;
    const took = await time(async () => void (isAnswered = await read()));
    await sleep(Math.max(0, betweenReads_ms - took));
    return isAnswered ? took : Infinity;
  });
  const working = async () => ({
    goalRun: await repeat(samples, () => time(goalRun)),
    scriptRun: await repeat(samples, () => time(scriptRun)),
  });
  const [times, runs] = await Promise.all([reading, working()]);
  return { ...runs, read: times };
}

/** Resolves when all has begun. `taken` says how much of it there is by then. */
async function becomeHostile({ url, db, processes }: Servers, model: EndlessModel) {
  const user = await register(url);
  await addProvider(user, model.url);
  // One of its trial runs, on the operator's model.
  const { run_id } = await user.startRun({ task: goal, ask_me_about: ['the audience'] });
  // Asking the API would use up what an account may ask in a minute.
  const statusOf = () => db.selectFrom('runs').select('status').where('run_id', '=', run_id).executeTakeFirst();
  await until(async () => (await statusOf())?.status === 'waiting_human', 'the run waits');
  const forLong = { timeout_minutes: 600, max_total_turns: 1_000 };
  const hanging = await define(user, manyCalls(callsOfRun), forLong);
  const computing = await define(user, endlessScript, forLong);
  for (let run = 0; run < hangingRuns; run += 1) await startOrchestration(user, hanging);
  for (let run = 0; run < scripts; run += 1) await startOrchestration(user, computing);
  const knocking = knock({ streams, url: `${url}/api/v1/runs/${run_id}/events`, user });
  await until(() => knocking.open > 0 && model.calls > 0, 'the other account is at work');
  await sleep(settling_ms);
  const before = await cpuTime(processes);
  await sleep(settling_ms);
  const after = await cpuTime(processes);
  const cpu = Object.entries(after).map(
    ([name, time]) => `${name} ${percent(((time - before[name as keyof ByProcess]) / settling_ms) * 100)}`,
  );
  return { taken: () => ({ streams: knocking.open, calls: model.calls, cpu: cpu.join(', ') }), stop: knocking.stop };
}

function rowsOf(quiet: Experience, beside: Experience, taken: { streams: number; calls: number; cpu: string }): Row[] {
  const compared = (name: 'goalRun' | 'scriptRun', what: string): Row[] => {
    const [alone, loaded] = [median(quiet[name]), median(beside[name])];
    const ratio = loaded / alone;
    return [
      { what: `${what} of an account, quiet`, orchflow: ms(alone) },
      {
        what: `${what} beside a hostile one`,
        orchflow: `${ms(loaded)}, ${ratio.toFixed(2)} x`,
        bar: `≤ ${mostTimes} x`,
        holds: ratio <= mostTimes,
      },
    ];
  };
  const most = p99(beside.read);
  return [
    {
      what: 'what the hostile one got',
      orchflow:
        `${taken.calls} of ${hangingRuns * callsOfRun} calls hang, ${scripts} endless scripts, ` +
        `${taken.streams} of ${streams} streams, the rest refused and asked for again`,
    },
    { what: 'of a core, for the hostile one alone', orchflow: taken.cpu },
    ...compared('goalRun', 'run'),
    ...compared('scriptRun', 'run with a script'),
    { what: 'GET /runs/{id} of an account, quiet, p99', orchflow: ms(p99(quiet.read)) },
    {
      what: 'GET /runs/{id} beside a hostile one, p99',
      orchflow: ms(most),
      bar: `< ${mostRead_ms} ms`,
      holds: most < mostRead_ms,
    },
  ];
}
