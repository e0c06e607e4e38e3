import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { findWarning } from '../../src/embedded/follow-log.ts';
import { takeLock } from '../../src/embedded/lock.ts';
import { endLeftover, isAlive, processIdentity, readPidFile, startProcess } from '../../src/embedded/processes.ts';
import { supervise } from '../../src/embedded/supervise.ts';

function makeFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'orchflow-processes-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function startShell(folder: string, script: string, stopDeadlineMs?: number) {
  const running = await startProcess({
    command: 'sh',
    args: ['-c', script],
    logFile: join(folder, 'log'),
    pidFile: join(folder, 'pid.json'),
    stopDeadlineMs,
  });
  onTestFinished(() => running.stop());
  return running;
}

/** A process that has ended, and a record of it that is not about the one that has its pid now. */
async function deadRecord() {
  const child = spawn('true');
  await once(child, 'exit');
  return { pid: child.pid ?? 0, identity: 'another' };
}

test('a process is recorded while it lives, and killed when it does not want to end', async () => {
  const folder = makeFolder();
  const pidFile = join(folder, 'pid.json');
  const stubborn = await startShell(folder, `trap '' TERM; echo started; while :; do sleep 0.1; done`, 300);
  expect(readPidFile(pidFile)?.pid).toBe(stubborn.pid);
  while (!stubborn.lastWords()) await sleep(10);
  await stubborn.stop();
  expect(await stubborn.exited).toBe('signal SIGKILL');
  expect(stubborn.lastWords()).toBe('started');
  expect(existsSync(pidFile)).toBe(false);
});

test('a leftover is ended; a process that only has its pid is not', async () => {
  const folder = makeFolder();
  const pidFile = join(folder, 'pid.json');
  const running = await startShell(folder, 'exec sleep 60');
  const record = readFileSync(pidFile, 'utf8');

  writeFileSync(pidFile, record.replace(/"identity":"/, '"identity":"x'));
  expect(await endLeftover(pidFile)).toBeUndefined();
  expect(processIdentity(running.pid)).toBeDefined();

  writeFileSync(pidFile, record);
  expect(await endLeftover(pidFile)).toBe(running.pid);
  expect(await running.exited).toBe('signal SIGTERM');
  expect(await endLeftover(pidFile)).toBeUndefined();
});

test('a program that does not exist is an error', async () => {
  const starting = startProcess({ command: '/no/such/program', logFile: join(makeFolder(), 'log') });
  await expect(starting).rejects.toThrow('Cannot start /no/such/program');
});

test('the lock is held by one process at a time, and not by a dead one', async () => {
  const file = join(makeFolder(), 'launcher.json');
  writeFileSync(file, JSON.stringify(await deadRecord()));
  const lock = takeLock(file, 'http://localhost:8000');
  const again = () => takeLock(file, 'http://localhost:8001');
  expect(again).toThrow(`Orchflow is already running here (pid ${process.pid}, http://localhost:8000)`);
  lock.release();
  again().release();
  expect(existsSync(file)).toBe(false);
});

test('of many that find a stale lock one gets it', async () => {
  const file = join(makeFolder(), 'launcher.json');
  writeFileSync(file, JSON.stringify(await deadRecord()));
  const script = `
    const { takeLock } = await import(${JSON.stringify(import.meta.resolve('../../src/embedded/lock.ts'))});
    try { takeLock(${JSON.stringify(file)}, 'x'); console.log('mine'); } catch { console.log('refused'); }
    process.stdin.resume();`;
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, ['--input-type=module', '-e', script]));
  onTestFinished(() => children.forEach((child) => child.kill('SIGKILL')));
  const said = await Promise.all(children.map(async ({ stdout }) => String((await once(stdout, 'data'))[0]).trim()));
  expect(said.toSorted()).toEqual(['mine', 'refused', 'refused', 'refused']);
});

test('what ends by itself is started again, until it is stopped', async () => {
  const folder = makeFolder();
  const lines: string[] = [];
  const start = () => startShell(folder, 'exec sleep 60');
  const first = await start();
  const supervised = supervise({
    name: 'worker',
    running: first,
    start,
    logFile: 'worker.log',
    report: (line) => lines.push(line),
  });
  process.kill(first.pid, 'SIGKILL');
  while (lines.length < 2) await sleep(20);
  const second = readPidFile(join(folder, 'pid.json'));
  expect(lines).toEqual([
    'worker ended (signal SIGKILL); starting it again in 1 s. Its log: worker.log',
    `worker runs again (pid ${second?.pid})`,
  ]);
  await supervised.stop();
  expect(second && isAlive(second)).toBe(false);
  expect(lines).toHaveLength(2);
});

test('warnings are told from the rest of a log', () => {
  expect(findWarning('{"level":30,"msg":"request"}')).toBeUndefined();
  expect(findWarning('{"level":40,"msg":"slow"}')).toBe('slow');
  expect(findWarning('{"level":50,"msg":"call failed","err":{"message":"no key"}}')).toBe('call failed: no key');
  expect(findWarning('TypeError: x is not a function')).toBe('TypeError: x is not a function');
  expect(findWarning('    at file:///app/src/api.ts:3:1')).toBeUndefined();
});
