import { setTimeout as sleep } from 'node:timers/promises';
import { growth } from './growth.ts';
import { gateToEnd, memoryOfWaitingRuns, overhead, postRuns, readRuns, takeover, throughput } from './measures.ts';
import { startServers } from './servers.ts';
import { idleStreams } from './streams.ts';
import { printTable, type Row } from './table.ts';

/**
 * `npm run bench`, or `npm run bench -- streams` for what is so named: starts everything itself with a fake model of
 * fixed latency, and prints a table. What is compared with the bare workflow is measured in interleaved rounds on the
 * same server; the figures are medians.
 */
const servers = await startServers({ latency_ms: 50 });
const rows: Row[] = [];
const [wanted = ''] = process.argv.slice(2);
async function measure(what: string, run: () => Promise<Row[]>): Promise<void> {
  if (!what.includes(wanted)) return;
  console.error(`measuring ${what} …`);
  rows.push(...(await run()));
  await sleep(500);
}

try {
  console.error('warming up …');
  await overhead(servers, 10);
  await gateToEnd(servers, 10);
  await postRuns(servers, 5);
  await measure('one run', () => overhead(servers, 25));
  await measure('gate answered -> completed', () => gateToEnd(servers, 25));
  await measure('POST /runs', () => postRuns(servers, 15));
  await measure('20 at once', () => throughput(servers, { at_once: 20, runs: 100, rounds: 3 }));
  await measure('200 at once', () => throughput(servers, { at_once: 200, runs: 200, rounds: 2 }));
  await measure('GET /runs/{id}', () => readRuns(servers, { active: 50, seconds: 8 }));
  await measure('memory', () => memoryOfWaitingRuns(servers, 200));
  await measure('500 streams', () => idleStreams(servers, 500));
  await measure('growth', growth);
  await measure('takeover', () => takeover(servers, 10));
  printTable(rows);
} finally {
  await servers.stop();
}
process.exit(0);
