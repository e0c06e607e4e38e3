import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkOut } from './checkout.ts';
import { choose, needsWarmServers, take, type Measure } from './measure.ts';
import { agentCall, agentRun, callWithFiles } from './measures/agents.ts';
import { attack } from './measures/attack.ts';
import { code } from './measures/code.ts';
import { firstToken } from './measures/first-token.ts';
import { growth } from './measures/growth.ts';
import { inbox } from './measures/inbox.ts';
import { knowledge } from './measures/knowledge.ts';
import { postRuns, readRuns } from './measures/requests.ts';
import { gateToEnd, overhead, twentyAtOnce, twoHundredAtOnce } from './measures/runs.ts';
import { start } from './measures/start.ts';
import { idleStreams } from './measures/streams.ts';
import { takeover } from './measures/takeover.ts';
import { tenants } from './measures/tenants.ts';
import { traces } from './measures/traces.ts';
import { tenThousandRuns, waitingRuns } from './measures/waiting.ts';
import { startModel } from './model.ts';
import { startServers, type Servers } from './servers.ts';
import { printTable, type Row } from './table.ts';

/**
 * `npm run bench`, or `npm run bench -- streams takeover` for what is so named: starts everything itself with a fake
 * model, and prints a table. `--against <commit>` builds that commit too, runs it beside this one and compares them.
 */
const measures: Measure[] = [
  overhead,
  gateToEnd,
  agentRun,
  agentCall,
  callWithFiles,
  code,
  postRuns,
  twentyAtOnce,
  twoHundredAtOnce,
  traces,
  readRuns,
  waitingRuns,
  tenThousandRuns,
  idleStreams,
  { name: 'first token', table: firstToken },
  { name: 'inbox', table: inbox },
  { name: 'knowledge', table: knowledge },
  { name: 'growth', table: growth },
  takeover,
  start,
  tenants,
  attack,
];

const { values, positionals } = parseArgs({ allowPositionals: true, options: { against: { type: 'string' } } });
const chosen = choose(measures, positionals);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const model = await startModel();
const old = values.against ? await checkOut(values.against) : undefined;
const running: Servers[] = [];
const rows: Row[] = [];
async function begin(root: string): Promise<Servers> {
  const servers = await startServers({ root, model });
  running.push(servers);
  return servers;
}

try {
  console.error('starting …');
  const now = await begin(path.join(import.meta.dirname, '..'));
  const before = old ? await begin(old) : undefined;
  if (chosen.some(needsWarmServers)) {
    console.error('warming up …');
    for (const measure of [overhead, gateToEnd, postRuns]) await take({ ...measure, rounds: 1 }, now, before);
  }
  for (const measure of chosen) {
    console.error(`measuring ${measure.name} …`);
    rows.push(...(await take(measure, now, before)));
  }
} finally {
  printTable(rows, values.against);
  for (const servers of running) await servers.stop();
}
process.exit(0);
