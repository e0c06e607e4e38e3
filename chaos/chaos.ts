import { appendFileSync, cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { serialize } from 'node:v8';
import { check } from './checker.ts';
import { openAccount, type Account } from './accounts.ts';
import { createClients } from './clients.ts';
import { startAudit } from './audit.ts';
import { coverage, deedsOf, seen } from './counts.ts';
import { gatherEvidence } from './evidence.ts';
import { figures } from './figures.ts';
import { readHoldings } from './holdings.ts';
import { letHostileIn } from './hostile/index.ts';
import { openJournal } from './journal.ts';
import { lookAsOperator } from './operator.ts';
import { limitsFor } from './limits.ts';
import { describe } from './faults.ts';
import { unleash } from './nemesis.ts';
import { startOutside } from './outside.ts';
import { honestPart } from './parts.ts';
import { untilQuiet } from './quiet.ts';
import { createRandom } from './random.ts';
import { serviceNames, startServers } from './servers.ts';
import { watchForStarved } from './starved.ts';

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
/** Until all is quiet after healing, on a machine of any speed. */
const patience = 300_000;
/** Runs beyond those asked for. */
const maxLate = 10;
/** How often all that is due after healing is tried. */
const maxRounds = 3;
/** For so many runs, or fewer, one crowd comes. */
const runsForACrowd = 25;
/** For so many runs, somebody puts documents on a shelf, and somebody reads what an agent writes. */
const runsForAShelf = 5;

// A server that never takes work, or does not end, would be waited for without end.
setTimeout(
  () => {
    print(`FAILED: it hangs, seed ${seed}`);
    process.exit(1);
  },
  duration + 30 * 60_000,
).unref();

const random = createRandom(seed);
const startedAt = Date.now();
const report = (line: string) =>
  console.error(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
print(`seed ${seed}`);

const limits = limitsFor(Number(values.runs));
const outside = await startOutside(random.fork('outside'));
const servers = await startServers(report, limits, outside.web.url);
await startAudit(servers.db);
const journal = openJournal(path.join(servers.dir, 'journal.jsonl'));
const clients = createClients({ apis: servers.apis, journal, random: random.fork('clients'), web: outside.web.url });
await untilUp(servers.apis[0]!.url);
const names = ['a', 'b', 'crowd', 'caller'];
const accounts = await Promise.all(names.map((name) => openAccount(servers.apis[0]!.url, name, outside)));
const [first, second, crowded, caller] = accounts as [Account, Account, Account, Account];

const holdings = await readHoldings(servers.db);
const hostile = await letHostileIn({ apis: servers.apis, databaseUrl: servers.databaseUrl, seed });

const looking = new AbortController();
const queried = lookAsOperator(servers, random.fork('operator'), looking.signal);
const watched = watchForStarved(servers, looking.signal);

const over = new AbortController();
const { aimed, fallen: falling } = unleash({ servers, outside, random: random.fork('nemesis'), report }, over.signal);
const arrivals = random.fork('arrivals');
let underway = 0;
async function drive(index: number, isLate = false): Promise<void> {
  underway += 1;
  await clients.drive(index % 2 ? second : first, `c${index}`, { isLate }).finally(() => (underway -= 1));
}
const driven = Array.from({ length: Number(values.runs) }, async (_, index) => {
  // Up to the end: some are under way when all is healed.
  await sleep(arrivals.between(0, duration - 7_000));
  await drive(index);
});
for (let n = 1; n <= Math.ceil(Number(values.runs) / runsForACrowd); n += 1)
  driven.push(sleep(arrivals.between(0, duration / 2)).then(() => clients.startMany(crowded, `many${n}`)));
for (let n = 0; n < Math.ceil(Number(values.runs) / runsForAShelf); n += 1) {
  const account = n % 2 ? second : first;
  // The first documents are there for the first fault, which falls into the middle of their indexing.
  const within = n === 0 ? 0 : duration - 7_000;
  driven.push(sleep(arrivals.between(0, within)).then(() => clients.shelve(account, `s${n}`)));
  driven.push(sleep(arrivals.between(0, duration - 7_000)).then(() => clients.followAgent(account, `r${n}`)));
}
for (let n = 0; n < Number(values.runs); n += 1) callAgent(n);
await untilStruck();
over.abort();
const fallen = await falling;
await servers.heal();
while (fallen.some(({ ended }) => ended === Number.POSITIVE_INFINITY)) await sleep(20);
const healed_at = Date.now();
report('healed');
clients.hurry();

await Promise.race([Promise.all(driven), sleep(patience)]);
const recovery_ms = Date.now() - healed_at;
for (let round = 1; clients.isAnythingDue() && round <= maxRounds; round += 1) {
  driven.push(clients.doWhatIsDue(first, caller, crowded, `due${round}`));
  await Promise.race([driven.at(-1), sleep(patience)]);
}
const left = await hostile.leave();
await Promise.race([untilQuiet(servers, outside), sleep(patience)]);
clients.stop();
await Promise.all(driven);
await Promise.all(servers.apis.map(({ url }) => untilUp(url)));
looking.abort();
const [queries, starved] = await Promise.all([queried, watched]);
const lists = await Promise.all(accounts.map((account) => clients.walk(account)));
const usage = await Promise.all(accounts.map((account) => clients.usage(account)));
const audits = await clients.audits();
await clients.lookForPurged();
await clients.lookForFiles();
// A delivery whose endpoint was away comes when it comes: none while one looks.
const workers = serviceNames.filter((name) => !name.startsWith('api'));
await Promise.all(workers.map((name) => servers.get(name).kill()));
const evidence = await gatherEvidence({
  servers,
  outside,
  journal,
  fallen,
  accounts,
  hostile: left,
  lists,
  audits,
  usage,
  queries,
  starved,
  holdings,
  limits,
  healed_at,
});

print(`${evidence.runs.length} runs, ${journal.entries.length} journal entries, ${journal.reads()} reads`);
const honest = honestPart(evidence);
printCounts(seen(honest));
printCounts(deedsOf(evidence));
print(`${fallen.length} faults; servers that ended by themselves: ${servers.crashes().length}`);
for (const crash of servers.crashes()) print(`  ${crash}`);
const fell = coverage(evidence);
printCounts(fell);
figures(honest, journal.times, recovery_ms).forEach(print);
const violated = check(evidence, print);

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

function print(line: string): void {
  console.log(line);
}

function printCounts(counts: Record<string, number>): void {
  for (const [what, times] of Object.entries(counts)) print(`${String(times).padStart(8)}  ${what}`);
}

/** The first ones are there for the faults that fall first; some wait for a place of an account that has other runs besides. */
function callAgent(n: number, within = n < 3 ? 0 : duration - 7_000): void {
  const [account, other] = n % 4 === 3 ? [second, caller] : [caller, first];
  driven.push(sleep(arrivals.between(0, within)).then(() => clients.callNext(account, other, `a${n}`)));
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

/**
 * The time is over, and each aimed fault has met its moment, with time after it for the others. On a slow machine they may
 * be late for the runs that they were to meet: then more come.
 */
async function untilStruck(): Promise<void> {
  const others = aimed.then(() => sleep(duration / 3));
  await sleep(duration);
  const isAimed = () => Promise.race([aimed.then(() => true), sleep(5_000, false)]);
  for (let late = 0; late < maxLate && !(await isAimed());) {
    if (underway > 2) continue;
    late += 1;
    driven.push(drive(Number(values.runs) + late, true), clients.shelve(first, `late${late}`));
    // As many kinds of calls as aimed faults wait for.
    for (let n = 0; n < 3; n += 1) callAgent(1_000 * late + n, 0);
  }
  await others;
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
