import { gateToEnd, overhead, postRuns, readRuns, throughput } from './measures.ts';
import { startServers } from './servers.ts';
import { printTable, type Row } from './table.ts';
const servers = await startServers({ latency_ms: 50 });
const rows: Row[] = [];
const which = process.argv.slice(2);
try {
  await overhead(servers, 10); await postRuns(servers, 5);
  if (which.includes('one')) rows.push(...await overhead(servers, 15));
  if (which.includes('gate')) rows.push(...await gateToEnd(servers, 20));
  if (which.includes('post')) rows.push(...await postRuns(servers, 15));
  if (which.includes('get')) rows.push(...await readRuns(servers, { active: 50, seconds: 6 }));
  if (which.includes('20')) rows.push(...await throughput(servers, { at_once: 20, runs: 100, rounds: 2 }));
  printTable(rows);
} finally { await servers.stop(); }
process.exit(0);
