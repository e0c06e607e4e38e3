// The same as escapes.py, for what runs JavaScript alone.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import process from 'node:process';

const given = JSON.parse((await process.stdin.toArray()).join(''));
const found = [];

async function attempt(name, way) {
  try {
    if (await way()) found.push(name);
  } catch {
    // It is closed.
  }
}

const holdsSecret = (path) => readFileSync(path, 'utf8').includes(given.secret);

/** Whatever succeeds is on somebody's machine, and nothing is left there. */
function writes(path, text) {
  writeFileSync(path, text);
  rmSync(path);
  return true;
}

await attempt('host files', () => holdsSecret(given.file));
await attempt('imports of host files', async () => {
  const module = await import(given.json, { with: { type: 'json' } });
  return JSON.stringify(module.default).includes(given.secret);
});
await attempt('imports of host files by other modules', async () => {
  const module = await import('./import-host.mjs');
  return JSON.stringify(module.default).includes(given.secret);
});
await attempt('writing to its code', () => writes(new URL('new', import.meta.url), ''));
await attempt('writing beside its code', () => writes(`${given.file}.new`, ''));
await attempt('disk', () => writes(`/tmp/${given.abstract}`, 'x'.repeat(given.disk_bytes * 2)));
await attempt(
  'network',
  () =>
    new Promise((resolve, reject) => {
      const socket = connect(given.port, '127.0.0.1', () => resolve(true));
      socket.on('error', reject);
    }),
);
await attempt('fetch', async () =>
  Boolean(await fetch(`http://127.0.0.1:${given.port}/`).catch((error) => /reset|closed/i.test(error))),
);
await attempt('remote modules', () => import(`http://127.0.0.1:${given.port}/module.mjs`).then(() => true));
await attempt('programs', () => (execFileSync('/bin/sh', ['-c', 'true']), true));
await attempt('signals to other processes', () => process.kill(given.pid, 0));
await attempt('environment', () => JSON.stringify(process.env).includes(given.secret));
await attempt('environment of others', () => readFileSync(`/proc/${given.pid}/environ`, 'utf8').length > 0);
await attempt('libraries', () => {
  if (!globalThis.Deno) return false;
  globalThis.Deno.dlopen('libc.so.6', { getuid: { parameters: [], result: 'u32' } });
  return true;
});

console.log(JSON.stringify(found));
process.exit(0);
