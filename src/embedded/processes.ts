import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** One line for the person who waits, without a newline. */
export type Report = (line: string) => void;

/** A process that was started here, whoever its parent is now. */
export interface ProcessRecord {
  pid: number;
  /** What `processIdentity` said when it was recorded: a reused pid has another. */
  identity: string;
}

export interface RunningProcess {
  pid: number;
  /** Resolves when the process has ended, with how it ended: "exit code 1", "signal SIGKILL". Never rejects. */
  exited: Promise<string>;
  /** Lets it begin, where it was held; otherwise it does nothing. */
  release(): void;
  /** Asks the process to end, then kills it when the deadline passes. Resolves when it has ended; may be called again. */
  stop(): Promise<void>;
  /** Where in its log file its own lines begin, in bytes. */
  logStart: number;
  /** What it wrote into its log since it was started. */
  words(): string;
  /** The last lines of that, for an error message. */
  lastWords(): string;
}

export interface StartProcessOptions {
  command: string;
  args?: string[];
  env?: Record<string, string | undefined>;
  cwd?: string;
  uid?: number;
  gid?: number;
  /** It steps back when others want the processor, so that what a client waits for comes before work in the background. */
  background?: boolean;
  /** It waits on its standard input until `release`. */
  isHeld?: boolean;
  /** Gets stdout and stderr. */
  logFile: string;
  /** Where the process is recorded while it lives, so that a later start finds it. */
  pidFile?: string;
  stopSignal?: NodeJS.Signals;
  stopDeadlineMs?: number;
}

const logLimitBytes = 20_000_000;

/** Prefix of a command that steps back. The program takes the place of `nice`, under the same pid. */
export const inBackground = ['nice', '-n', '10'];

/**
 * What tells a process from a later one with the same pid: its start time, with the boot on Linux.
 * undefined when there is no such process, or only its zombie.
 */
export function processIdentity(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces and parentheses; the state is field 3, the start time field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
  } catch {
    if (process.platform === 'linux') return undefined;
  }
  try {
    const args = ['-o', 'stat=,lstart=', '-p', String(pid)];
    const line = execFileSync('ps', args, { encoding: 'utf8', env: { PATH: '/bin:/usr/bin', LC_ALL: 'C' } }).trim();
    return line.startsWith('Z') ? undefined : line.replace(/^\S+\s+/, '');
  } catch {
    return undefined;
  }
}

/** Whether the recorded process itself still runs. */
export function isAlive({ pid, identity }: ProcessRecord): boolean {
  return processIdentity(pid) === identity;
}

export function readPidFile(file: string): ProcessRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as ProcessRecord;
    return Number.isInteger(record.pid) && record.pid > 1 ? record : undefined;
  } catch {
    return undefined;
  }
}

function writePidFile(file: string, record: ProcessRecord) {
  mkdirSync(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record));
  renameSync(draft, file);
}

/**
 * Ends a process that may be nobody's child: signals it, waits, kills it after the deadline, waits until it is gone.
 * @param deadlineMs how long it may take to end by itself
 */
export async function endProcess(record: ProcessRecord, signal: NodeJS.Signals = 'SIGTERM', deadlineMs = 10_000) {
  sendSignal(record, signal);
  const gone = async (milliseconds: number) => {
    for (const end = Date.now() + milliseconds; Date.now() < end; await sleep(25)) if (!isAlive(record)) return true;
    return !isAlive(record);
  };
  if (await gone(deadlineMs)) return;
  sendSignal(record, 'SIGKILL');
  if (!(await gone(10_000))) throw new Error(`Process ${record.pid} cannot be ended, not even by SIGKILL.`);
}

function sendSignal(record: ProcessRecord, signal: NodeJS.Signals) {
  try {
    if (isAlive(record)) process.kill(record.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Starts a process in a session of its own, so that a Ctrl-C in the terminal reaches it only through us. It writes
 * straight into its log file and so lives on, whole, when we are killed.
 * @throws when the program cannot be started at all
 */
export async function startProcess(options: StartProcessOptions): Promise<RunningProcess> {
  const { env, cwd, uid, gid, logFile, pidFile } = options;
  const log = openLog(logFile);
  const logStart = fstatSync(log).size;
  const [command, ...args] = [...(options.background ? inBackground : []), options.command, ...(options.args ?? [])];
  const stdin = options.isHeld ? 'pipe' : 'ignore';
  const child = spawn(command!, args, { env, cwd, uid, gid, detached: true, stdio: [stdin, log, log] });
  child.stdin?.on('error', () => {}); // it has ended, which `exited` tells
  closeSync(log);
  const exited = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ? `signal ${signal}` : `exit code ${code}`)),
  );
  const { pid } = child;
  if (!pid) {
    const [error] = await new Promise<[Error]>((resolve) => child.once('error', (fault) => resolve([fault])));
    throw new Error(`Cannot start ${command}: ${error.message}`, { cause: error });
  }
  child.on('error', () => {}); // a failed kill; `exited` tells what happened
  const record = { pid, identity: processIdentity(pid) ?? '' };
  if (pidFile) {
    writePidFile(pidFile, record);
    void exited.then(() => {
      if (readPidFile(pidFile)?.identity === record.identity) rmSync(pidFile, { force: true });
    });
  }
  const words = () => readFileSync(logFile).subarray(logStart).toString();
  return {
    pid,
    exited,
    release: () => void child.stdin?.end('go'),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        await endProcess(record, options.stopSignal, options.stopDeadlineMs);
      }
      await exited;
    },
    logStart,
    words,
    lastWords: () => words().trimEnd().split('\n').slice(-15).join('\n'),
  };
}

/** For a race with the wait for readiness. @throws when the process ends, with its last words; never resolves */
export async function endedAtOnce(name: string, running: RunningProcess): Promise<never> {
  throw new Error(`${name} ended at once (${await running.exited}):\n${running.lastWords()}`);
}

/** Kills what is recorded under this pid file without waiting for anything. */
export function killRecorded(pidFile: string, signal: NodeJS.Signals = 'SIGKILL') {
  const record = readPidFile(pidFile);
  if (record) sendSignal(record, signal);
}

/** Ends what an earlier launcher left running under this pid file. Resolves with the pid, or undefined if nothing ran. */
export async function endLeftover(pidFile: string, signal?: NodeJS.Signals, deadlineMs?: number) {
  const record = readPidFile(pidFile);
  const alive = record !== undefined && isAlive(record);
  if (alive) await endProcess(record, signal, deadlineMs);
  rmSync(pidFile, { force: true });
  return alive ? record.pid : undefined;
}

function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > logLimitBytes) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}

/** Runs a long step and reports every ten seconds that it still runs: "building Temporal, 40 s". */
export async function withProgress<T>(report: Report, step: string, work: () => Promise<T>): Promise<T> {
  const start = Date.now();
  const timer = setInterval(() => report(`${step}, ${Math.round((Date.now() - start) / 1000)} s`), 10_000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
