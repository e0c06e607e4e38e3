import fs from 'node:fs';
import { overhead, throughput, postRuns } from './measures.ts';
import { startServers } from './servers.ts';
function cpu() {
  const out: Record<string, number> = {};
  for (const pid of fs.readdirSync('/proc').filter((d) => /^\d+$/.test(d))) {
    try {
      const cmd = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0/g, ' ');
      const st = fs.readFileSync(`/proc/${pid}/stat`, 'utf8'); const f = st.slice(st.lastIndexOf(')') + 2).split(' ');
      const k = /src\/api/.test(cmd) ? 'api' : /src\/worker/.test(cmd) ? 'worker' : /bare\/worker/.test(cmd) ? 'bareworker' : /fake-model/.test(cmd) ? 'model' : /postgres/.test(cmd) ? 'postgres' : /start-dev/.test(cmd) ? 'temporal' : /bench\/try4/.test(cmd) ? 'bench' : 'other';
      out[k] = (out[k] ?? 0) + (Number(f[11]) + Number(f[12])) * 10;
    } catch {}
  }
  return out;
}
const servers = await startServers({ latency_ms: 50 });
await overhead(servers, 5); await postRuns(servers, 3);
function threads(match: RegExp) {
  const out: Record<string, number> = {};
  for (const pid of fs.readdirSync('/proc').filter((d) => /^\d+$/.test(d))) { try {
    if (!match.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0/g, ' '))) continue;
    for (const t of fs.readdirSync(`/proc/${pid}/task`)) { const st = fs.readFileSync(`/proc/${pid}/task/${t}/stat`, 'utf8'); const f = st.slice(st.lastIndexOf(')') + 2).split(' '); const nm = st.slice(st.indexOf('(') + 1, st.lastIndexOf(')')); for (const [i, w] of [[11, 'u'], [12, 's']] as const) { const k = (t === pid ? 'MAIN' : nm) + w; out[k] = (out[k] ?? 0) + Number(f[i]) * 10; } }
  } catch {} }
  return out;
}
async function round(name: string, n: number, work: () => Promise<unknown>) {
  const m = name === 'ours' ? /src\/worker/ : /bare\/worker/; const th = threads(m); const a = cpu(), t = performance.now(); await work(); const b = cpu(); const took = performance.now() - t;
  const th2 = threads(m); console.log(Object.entries(th2).map(([k, v]) => k + ' ' + ((v - (th[k] ?? 0)) / n).toFixed(1)).filter((x) => !/ 0\.[0-4]$/.test(x)).join(', '));
  console.log(name, 'ms/run', (took / n).toFixed(0), Object.fromEntries(Object.keys(b).map((k) => [k, Math.round((b[k]! - (a[k] ?? 0)) / n)]).filter(([, v]) => v)));
}
const { run, bare, lanes } = (await import('./measures.ts')) as any;
const { sql } = await import('kysely'); const xacts = async () => Number((await sql<{n:number}>`select xact_commit as n from pg_stat_database where datname = current_database()`.execute(servers.db)).rows[0]!.n);
for (let i = 0; i < 3; i++) { const x = await xacts();
  await round('ours', 100, () => lanes(servers, run, 20, 100));
 await new Promise((r) => setTimeout(r, 1500)); console.log('xacts per run', ((await xacts()) - x) / 100);
  await round('bare', 100, () => lanes(servers, bare, 20, 100));
}
if (process.argv[2]) { const { execSync } = await import('node:child_process'); for (const p of execSync('pgrep -f "src/(api|worker).ts"').toString().split('\n')) if (p) execSync(`kill -TERM ${p}`); await new Promise((r) => setTimeout(r, 12000)); }
await servers.stop(); process.exit(0);
