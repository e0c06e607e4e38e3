import { appendFileSync } from 'node:fs';
import type { RunView } from '../db/run-views.ts';
import type { Decision } from '../workflows/contract/states.ts';
import type { Steering } from '../workflows/contract/steering.ts';

/** An ended run as it was when a part of it was asked for again. */
export type Rerun = { source: RunView; from_task: string; edits: Record<string, string> };

/** What `PATCH` gives a run: labels whole, and limits. */
export type Change = { metadata?: Record<string, string>; tags?: string[]; max_tokens?: number };

/** What can be done to a task of a run that is under way, beside answering its gate. */
export type SteeringAction = Steering['action'];

/** How an agent is called, and what its client looks for. */
export type CallKind = 'once' | 'as events' | 'again' | 'in a chain' | 'too late' | 'code' | 'code that calls';

/**
 * What a client did: start a run, call an agent, answer a gate, give it to a person, cancel, try a failed one again, hold it and let it go on, steer its tasks,
 * change it, put it off, forget it, read one, keep files, read and delete them, add documents to a knowledge base, index one again,
 * search and delete, walk the list. `n` counts what one client asked of one run; `note` tells it from all others.
 */
export type Operation =
  | {
      op: 'start';
      run: string;
      key?: string;
      /** Seconds that the API was asked to wait for the run, or has told of it. */
      wait?: number;
      /** It is told token by token: the body is what was read. */
      isStream?: boolean;
      rerun?: Rerun;
      attachments?: string[];
      /** It is to begin so long after it is accepted, in milliseconds. */
      start_in_ms?: number;
    }
  | {
      op: 'call';
      /** All tries of a client say the same, and this in it. */
      run: string;
      kind: CallKind;
      account: string;
      /** `org/name`. */
      agent: string;
      tenant: string;
      key?: string;
      /** From when on an answer is of no use, in milliseconds since 1970. */
      deadline_at?: number;
      /** Seconds that its client waits at most. */
      wait: number;
    }
  | {
      op: 'complete';
      run_id: string;
      task_id: string;
      gate_id: string;
      decision: Decision;
      output?: string;
      /** A task before it that is to be done again, with the output as the feedback. */
      send_back_to?: string;
      note?: string;
      attachments?: string[];
      key?: string;
      /** Who has answered with a key of their own. */
      person_id?: string;
    }
  /** Null: to nobody. */
  | { op: 'assign'; run_id: string; task_id: string; gate_id: string; person_id: string | null }
  | { op: 'cancel'; run_id: string }
  | { op: 'retry'; run_id: string; n: number }
  | { op: 'hold'; run_id: string; n: number; note: string }
  | { op: 'release'; run_id: string; n: number; note: string }
  | {
      op: 'steer';
      run_id: string;
      task_id: string;
      action: SteeringAction;
      n: number;
      note: string;
      /** The feedback, or the output. */
      text?: string;
      /** What the client saw in the place of what it corrects. */
      replaced?: string | null;
    }
  | { op: 'change'; run_id: string; n: number; note: string; change: Change }
  /** It is to begin so long from now. */
  | { op: 'put off'; run_id: string; n: number; start_in_ms: number }
  | { op: 'purge'; run_id: string; account: string }
  | { op: 'upload'; account: string; name: string; key?: string; size: number; sha256: string; wait: number }
  /** The body of what is read is its size and its SHA-256. */
  | { op: 'read file'; file_id: string }
  | { op: 'delete file'; file_id: string }
  | { op: 'add documents'; account: string; names: string[]; key?: string; wait: number }
  | { op: 'index again'; document_id: string; n: number }
  | { op: 'delete document'; document_id: string }
  /** `due`: what is known of the document in which the word is, and in no other, when it is looked for. */
  | { op: 'search'; account: string; word: string; document_id: string; due: 'found' | 'gone'; wait: number }
  /** Reading what must be gone. */
  | { op: 'gone'; run_id: string; path: string }
  | { op: 'usage'; account: string }
  | { op: 'get'; run_id: string }
  | { op: 'list' };

/**
 * One try of one request. Times are milliseconds since 1970. `ok`: a 2xx. `fail`: refused, and nothing was done.
 * `unknown`: no answer, or one that says that Orchflow itself does not know.
 */
export type Entry = Operation & {
  api: string;
  invoked: number;
  ended: number;
  /** What the API says that it has worked on it, by its own clock, in milliseconds: `Server-Timing`. */
  app_ms?: number;
  outcome: 'ok' | 'fail' | 'unknown';
  /** Its client has left before the end of the answer. */
  left?: true;
  status?: number;
  body?: any;
};

/** Milliseconds until each answer, one for one: by the API's own clock and by that of its client. */
export type AnswerTimes = { by_api: number[]; by_client: number[] };

/** Milliseconds that the API was asked to wait for the run before it answers. */
export function askedToWait(entry: { op: string; wait?: number }): number {
  return (entry.wait ?? 0) * 1_000;
}

/** The clients' own journal: one line of JSON for each try. Reads that went well are not kept. */
export function openJournal(file: string) {
  const entries: Entry[] = [];
  const times: AnswerTimes = { by_api: [], by_client: [] };
  let reads = 0;
  return {
    entries,
    reads: () => reads,
    times,
    write(entry: Entry): void {
      const { app_ms } = entry;
      if (app_ms !== undefined) {
        times.by_api.push(app_ms);
        times.by_client.push(entry.ended - entry.invoked - askedToWait(entry));
      }
      if (entry.op === 'get' || entry.op === 'list') {
        reads += 1;
        if (entry.outcome === 'ok' && app_ms !== undefined && app_ms < 1_000) return;
        if (entry.outcome === 'ok') delete entry.body;
      }
      entries.push(entry);
      appendFileSync(file, `${JSON.stringify(entry)}\n`);
    },
  };
}
export type Journal = ReturnType<typeof openJournal>;
