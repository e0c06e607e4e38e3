import autocannon from 'autocannon';
import { overhead } from './measures.ts';
import { until } from '../test/client.ts';
import { startServers } from './servers.ts';
const servers = await startServers({ latency_ms: 50 });
const { db, url, user } = servers;
async function burst() {
  const times: number[] = [];
  const load0 = performance.now();
  await new Promise((resolve) => {
    const load = autocannon({ url: `${url}/api/v1/runs`, connections: 20, amount: 20, method: 'POST', headers: { 'x-api-key': user.api_key, 'content-type': 'application/json' }, body: JSON.stringify({ task: 'Compare the market and write a report.', agents: [{ name: 'research' }, { name: 'analyst' }, { name: 'writer' }] }) }, resolve);
    load.on('response', (_c: unknown, s: number, _b: unknown, t: number) => times.push(s === 201 ? t : Infinity));
  });
  void load0;
  times.sort((a, b) => a - b);
  return times;
}
await overhead(servers, 10);

const all: number[] = []; const maxes: number[] = [];
for (let i = 0; i < 40; i++) { const at = Date.now(); const t = await burst(); console.log(at, t.at(-1)!.toFixed(0), t[10]!.toFixed(0)); if (i >= 6) { all.push(...t); maxes.push(t.at(-1)!); }
  await until(async () => (await db.selectFrom('runs').select('run_id').where('status','in',['pending','running']).limit(1).execute()).length === 0, 'done'); }
all.sort((a, b) => a - b); maxes.sort((a, b) => a - b);
console.log('p50', all[all.length >> 1]!.toFixed(0), 'p95', all[Math.floor(all.length * 0.95)]!.toFixed(0), 'p99', all[Math.floor(all.length * 0.99)]!.toFixed(0), 'maxes', maxes.map((m) => m.toFixed(0)).join(' '));
await servers.stop(); process.exit(0);
