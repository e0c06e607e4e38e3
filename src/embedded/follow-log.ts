import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Report } from './processes.ts';

const intervalMs = 300;
const repeatAfterMs = 60_000;

/**
 * Reports the warnings and errors that a process writes into its log, each text once a minute at most.
 * Reading the file, not a pipe, lets the process outlive us without writing into nothing.
 * @param from where in the log to begin, in bytes
 * @returns stops it
 */
export function followWarnings(name: string, logFile: string, from: number, report: Report): () => void {
  let offset = from;
  let rest = '';
  const shown = new Map<string, number>();

  const timer = setInterval(() => {
    const chunk = readFrom(logFile, offset);
    if (chunk.restarted) offset = 0;
    offset += chunk.bytes.length;
    const lines = (rest + chunk.bytes.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const warning = findWarning(line);
      if (!warning || Date.now() - (shown.get(warning) ?? 0) < repeatAfterMs) continue;
      if (shown.size > 500) shown.clear();
      shown.set(warning, Date.now());
      report(`${name}: ${warning}`);
    }
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}

function readFrom(file: string, offset: number): { bytes: Buffer; restarted: boolean } {
  let log: number;
  try {
    log = openSync(file, 'r');
  } catch {
    return { bytes: Buffer.alloc(0), restarted: false };
  }
  try {
    const { size } = fstatSync(log);
    const restarted = size < offset; // the old log was set aside
    const start = restarted ? 0 : offset;
    const bytes = Buffer.alloc(Math.min(size - start, 1_000_000));
    return { bytes: bytes.subarray(0, readSync(log, bytes, 0, bytes.length, start)), restarted };
  } finally {
    closeSync(log);
  }
}

/** The text of a line that is worth a person's attention: of pino's JSON from level 40, and plain words of alarm. */
export function findWarning(line: string): string | undefined {
  if (line.startsWith('{')) {
    try {
      const { level, msg, err } = JSON.parse(line) as { level?: number; msg?: string; err?: { message?: string } };
      if (!level || level < 40) return undefined;
      return [msg, err?.message].filter((text, index, all) => text && all.indexOf(text) === index).join(': ');
    } catch {
      return undefined;
    }
  }
  return /\b(warn|warning|\w*error|fatal)\b/i.test(line) ? line.trim().slice(0, 500) : undefined;
}
