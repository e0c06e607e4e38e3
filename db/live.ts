import { sql } from 'kysely';
import type { Db } from './index.ts';

/**
 * What the processes tell each other of runs while they change, by NOTIFY: that there is something new to read, and the
 * text of answers as models write them. All of it may get lost; the tables are the truth.
 */

/** A bit of an answer. `offset` is where it begins in it, in UTF-16 code units; at 0 the answer begins, or begins anew. */
export type Delta = { task_id: string | null; attempt: number; offset: number; text: string };
export type LiveMessage = { run_id: string; delta?: Delta; code?: CodeNews };

/**
 * What code does that is run, try by try of a call. What it prints, up to what is kept, with where that begins in all that it has
 * printed there, in UTF-16 code units; `output_truncated`: it has printed more.
 */
export type CodeNews = { call_id: string; try: number } & (
  CodeStep | { type: 'stdout' | 'stderr'; offset: number; text: string }
);
export type CodeStep =
  | { type: 'sandbox_start' }
  | { type: 'setup_step'; name: string; status: 'started' | 'completed' | 'failed' }
  | { type: 'output_truncated' };

export const channel = 'orchflow_live';
/**
 * NOTIFY takes a lock that all of them share, so a process gathers for so long, in milliseconds, what it sends at once. The end
 * of a run goes at once; the first word of an answer as soon as nothing was sent for that long.
 */
const interval = 25;
/** In UTF-16 code units; what comes beyond it while Postgres is slow is dropped. */
const maxPending = 256 * 1024;
/** Of that what code prints, which may be endless, leaves room for answers. */
const maxPendingPrinted = 64 * 1024;
/** NOTIFY takes less than 8000 bytes, and JSON makes up to six bytes of a code unit. */
const maxPayload = 7_900;
const maxText = 1_200;

export type LiveSender = ReturnType<typeof createLiveSender>;

/** Tells of runs. Nothing of it waits or fails: whoever tells goes on at once. */
export function createLiveSender(db: Db) {
  const { push, takes, waiting, quietFor } = createGathering(db);
  return {
    /** There is something new to read of this run. Told after it was committed. */
    changed: (run_id: string) => push(run_id, { run_id }),

    /** The same of what those wait for who wait for a run: it has ended. */
    ended: (run_id: string) => push(run_id, { run_id }, 0),

    /** A function that takes the text of one answer, bit by bit. */
    answer({ run_id, task_id, attempt }: { run_id: string; task_id: string | null; attempt: number }) {
      const key = `${run_id}/${task_id ?? ''}/${attempt}`;
      let said = 0;
      return (text: string): void => {
        const offset = said;
        said += text.length;
        if (!takes(text, maxPending)) return;
        const before = waiting(key)?.delta;
        const follows = before && before.offset + before.text.length === offset;
        const delta = follows ? { ...before, text: before.text + text } : { task_id, attempt, offset, text };
        // Of many runs at once there is always one whose answer begins.
        push(key, { run_id, delta }, offset === 0 ? interval - quietFor() : interval);
      };
    },

    /** Tells of one try of code: of its steps, and what it prints, bit by bit. */
    code: (of: Parameters<typeof tellOfCode>[0]) => tellOfCode(of, { push, takes, waiting }),
  };
}

type Gathering = Pick<ReturnType<typeof createGathering>, 'push' | 'takes' | 'waiting'>;

/** Gathers what is told, by its key, and sends it together. */
function createGathering(db: Db) {
  let pending = new Map<string, LiveMessage>();
  let pendingText = 0;
  let timer: NodeJS.Timeout | undefined;
  /** One at a time. */
  let isSending = false;
  let sentAt = -interval;
  /** When what is gathered is to go. */
  let dueAt = Infinity;

  function schedule(): void {
    if (isSending || pending.size === 0) return;
    clearTimeout(timer);
    const wait_ms = dueAt - performance.now();
    if (wait_ms <= 0) void send();
    else timer = setTimeout(() => void send(), wait_ms).unref();
  }

  async function send(): Promise<void> {
    clearTimeout(timer);
    isSending = true;
    sentAt = performance.now();
    dueAt = Infinity;
    const payloads = payloadsOf(pending.values());
    pending = new Map();
    pendingText = 0;
    // A transaction that notifies is written down, and holds the lock until it is: nobody need wait for the disk, since all of it may get lost.
    await sql`
      select pg_notify(${channel}, payload), set_config('synchronous_commit', 'off', true)
      from unnest(${payloads}::text[]) as payload`
      .execute(db)
      .catch(() => {});
    isSending = false;
    schedule();
  }

  /** Goes within so many milliseconds, and takes along what is gathered by then. */
  function push(key: string, message: LiveMessage, wait_ms = interval): void {
    pending.set(key, message);
    const due = performance.now() + wait_ms;
    if (due >= dueAt) return;
    dueAt = due;
    schedule();
  }

  /** Whether there is room for a text, of so many that may wait. */
  function takes(text: string, most: number): boolean {
    if (pendingText + text.length > most) return false;
    pendingText += text.length;
    return true;
  }

  return {
    push,
    takes,
    waiting: (key: string) => pending.get(key),
    /** For how long nothing was sent, in milliseconds. */
    quietFor: () => performance.now() - sentAt,
  };
}

function tellOfCode(
  { run_id, call_id, try: number }: { run_id: string; call_id: string; try: number },
  { push, takes, waiting }: Gathering,
) {
  const place = { call_id, try: number };
  const said = { stdout: 0, stderr: 0 };
  let steps = 0;
  return {
    step(step: CodeStep): void {
      steps += 1;
      push(`${run_id}/${call_id}/${number}/${steps}`, { run_id, code: { ...place, ...step } });
    },
    print(type: 'stdout' | 'stderr', text: string): void {
      const offset = said[type];
      said[type] += text.length;
      if (!takes(text, maxPendingPrinted)) return;
      const key = `${run_id}/${call_id}/${number}/${steps}/${type}`;
      const before = waiting(key)?.code;
      const follows = before && 'text' in before && before.offset + before.text.length === offset;
      const code = follows ? { ...before, text: before.text + text } : { ...place, type, offset, text };
      push(key, { run_id, code });
    },
  };
}

function payloadsOf(messages: Iterable<LiveMessage>): string[] {
  const payloads: string[] = [];
  let parts: string[] = [];
  let size = 2;
  for (const message of messages) {
    for (const small of split(message)) {
      const part = JSON.stringify(small);
      const bytes = Buffer.byteLength(part) + 1;
      if (parts.length && size + bytes > maxPayload) {
        payloads.push(`[${parts.join()}]`);
        [parts, size] = [[], 2];
      }
      parts.push(part);
      size += bytes;
    }
  }
  return parts.length ? [...payloads, `[${parts.join()}]`] : payloads;
}

function* split(message: LiveMessage): Generator<LiveMessage> {
  const { run_id, delta, code } = message;
  if (delta) for (const part of partsOf(delta)) yield { run_id, delta: part };
  else if (code && 'text' in code) for (const part of partsOf(code)) yield { run_id, code: part };
  else yield message;
}

function* partsOf<Told extends { offset: number; text: string }>(told: Told): Generator<Told> {
  for (let at = 0; at < told.text.length; at += maxText) {
    yield { ...told, offset: told.offset + at, text: told.text.slice(at, at + maxText) };
  }
}
