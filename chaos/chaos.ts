import { appendFileSync, cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { serialize } from 'node:v8';
import { check, coverage, seen } from './checker.ts';
import { openAccount } from './accounts.ts';
import { createClients } from './clients.ts';
import { gatherEvidence, startAudit } from './evidence.ts';
import { openJournal } from './journal.ts';
import { describe, unleash } from './nemesis.ts';
import { startOutside } from './outside.ts';
import { createRandom } from './random.ts';
import { startServers } from './servers.ts';

/**
 * `npm run chaos -- --seed N --runs 50 --minutes M`: clients drive runs while a nemesis, drawn from the seed, breaks one
 * thing after another; then all is healed, and what clients were promised is checked. `--keep DIR` saves the evidence.
 * Exits with 1 when an invariant is violated, with 2 when no fault fell where it matters.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    runs: { type: 'string', default: '50' },
    minutes: { type: 'string', default: '5' },
    keep: { type: 'string' },
  },
});
const seed = Number(values.seed);
const duration = Number(values.minutes) * 60_000;
const recoveryBound = 60_000;
const patience = 180_000;

const random = createRandom(seed);
const startedAt = Date.now();
const print = (line: string) => console.log(line);
const report = (line: string) =>
  console.error(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
print(`seed ${seed}`);

const servers = await startServers(report);
const outside = await startOutside(random.fork('outside'));
await startAudit(servers.db);
const journal = openJournal(path.join(servers.dir, 'journal.jsonl'));
const clients = createClients({ apis: servers.apis, journal, random: random.fork('clients'), web: outside.web.url });
await untilUp(servers.apis[0]!.url);
const accounts = await Promise.all(['a', 'b'].map((name) => openAccount(servers.apis[0]!.url, name, outside)));

const over = new AbortController();
const nemesis = unleash({ servers, outside, random: random.fork('nemesis'), report }, over.signal);
const arrivals = random.fork('arrivals');
const driven = Array.from({ length: Number(values.runs) }, async (_, index) => {
  // Up to the end: some are under way when all is healed.
  await sleep(arrivals.between(0, duration - 7_000));
  await clients.drive(accounts[index % accounts.length]!, `c${index}`);
});
await sleep(duration);
over.abort();
const fallen = await nemesis;
await servers.heal();
const healedAt = Date.now();
report('healed');
clients.hurry();

const quiet = Promise.all([...driven, untilEnded()]);
await Promise.race([quiet, sleep(patience)]);
const recovery = Date.now() - healedAt;
clients.stop();
await Promise.all(driven);
await Promise.all(servers.apis.map(({ url }) => untilUp(url)));
const lists = await Promise.all(accounts.map((account) => clients.walk(account)));
const evidence = await gatherEvidence({ servers, outside, journal, fallen, accounts, lists });

print(`${evidence.runs.length} runs, ${journal.entries.length} journal entries, ${journal.reads()} reads`);
printCounts(seen(evidence));
print(`${fallen.length} faults; servers that ended by themselves: ${servers.crashes().length}`);
for (const crash of servers.crashes()) print(`  ${crash}`);
const fell = coverage(fallen);
printCounts(fell);
let violated = check(evidence, print);
const recovered = recovery <= recoveryBound;
print(`${recovered ? 'ok      ' : 'VIOLATED'}  recovery within 60 s of healing: ${(recovery / 1000).toFixed(1)} s`);
if (!recovered) violated += 1;

if (values.keep) save(values.keep);
await servers.stop();
await outside.close();
const untested = Object.values(fell).includes(0);
print(
  violated
    ? `FAILED: ${violated} violated, seed ${seed}`
    : untested
      ? `UNTESTED, seed ${seed}`
      : `PASSED, seed ${seed}`,
);
process.exit(violated ? 1 : untested ? 2 : 0);

function printCounts(counts: Record<string, number>): void {
  for (const [what, times] of Object.entries(counts)) print(`${String(times).padStart(8)}  ${what}`);
}

async function untilUp(url: string): Promise<void> {
  while (
    !(await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    ))
  )
    await sleep(100);
}

/** No run is under way, and Temporal has heard of everything. */
async function untilEnded(): Promise<void> {
  const { db } = servers;
  for (; ; await sleep(200)) {
    const active = await db
      .selectFrom('runs')
      .select('run_id')
      .where('status', 'in', ['pending', 'running', 'waiting_human'])
      .execute();
    const unsent = await db.selectFrom('outbox').select('outbox_id').execute();
    if (active.length + unsent.length === 0) return;
  }
}

function save(directory: string): void {
  cpSync(servers.dir, directory, { recursive: true, filter: (file) => !file.includes('/postgres/data') });
  const { workflows, ...others } = evidence;
  const plain = { ...others, workflows: workflows.map(({ history: _, ...rest }) => rest) };
  writeFileSync(path.join(directory, 'evidence.bin'), serialize(plain));
  for (const fault of fallen)
    appendFileSync(path.join(directory, 'faults.jsonl'), `${JSON.stringify({ ...fault, what: describe(fault) })}\n`);
  for (const call of evidence.calls) appendFileSync(path.join(directory, 'calls.jsonl'), `${JSON.stringify(call)}\n`);
}
