import { setTimeout as sleep } from 'node:timers/promises';
import { serverTiming } from '../test/harness/server-timing.ts';
import type { Account } from './accounts.ts';
import { outcomeOf, readCallAnswer } from './call-answers.ts';
import { sha256Of } from './files.ts';
import { askedToWait, type Entry, type Journal, type Operation } from './journal.ts';
import type { Random } from './random.ts';
import { untilReached } from './reached.ts';
import { readTokens } from './tokens.ts';

/** Longer than the API may take, by more than a busy machine is late: so that a hang is seen as one. */
const patience = 8_000;

export type Api = { name: string; url: string };

export type Asking = { apis: Api[]; journal: Journal; random: Random };

type Request = {
  method: string;
  path: string;
  body?: object;
  /** In place of a body: files, as browsers send them. */
  file?: File;
  files?: File[];
  key?: string;
  /** A call of an agent, whose path begins at the root, and what it says in headers. */
  call?: Record<string, string>;
  /** Its client leaves after so many milliseconds, or events of a stream. */
  leave_ms?: number;
  leave_after?: number;
};

/** How clients ask: each time the next API, and each time with an entry in the journal. */
export function createRequests({ apis, journal, random }: Asking, signal: AbortSignal) {
  let turn = 0;

  async function attempt(account: Account, operation: Operation, request: Request): Promise<Entry> {
    const api = apis[turn++ % apis.length]!;
    const { method, path, body, file, files = file && [file], key, call, leave_ms, leave_after } = request;
    const entry: Entry = { ...operation, api: api.name, invoked: Date.now(), ended: 0, outcome: 'unknown' };
    try {
      const isWhole = call || /^\/(v1|usage)\b/.test(path);
      const sent: RequestInit = {
        method,
        headers: {
          'x-api-key': account.api_key,
          ...(body && { 'content-type': 'application/json' }),
          ...(key && { 'idempotency-key': key }),
          ...call,
        },
        body: files ? formOf(file ? 'file' : 'files', files) : body && JSON.stringify(body),
        signal: AbortSignal.timeout(leave_ms ?? patience + askedToWait(entry)),
      };
      const response = await untilReached(() => fetch(`${api.url}${isWhole ? path : `/api/v1${path}`}`, sent));
      entry.status = response.status;
      entry.app_ms = serverTiming(response.headers).app;
      if (call) {
        const answer = await readCallAnswer(response, leave_after);
        entry.body = answer;
        entry.outcome = outcomeOf(answer, response.status);
      } else if (isStream(response)) {
        const began = Date.now();
        entry.body = await readTokens(response, leave_after);
        if ('wait' in entry) entry.wait = (Date.now() - began) / 1_000;
        entry.outcome = entry.body.run_id ? 'ok' : 'unknown';
      } else {
        entry.body = await (isFile(response) ? measure(response) : response.json());
        entry.outcome = response.ok ? 'ok' : response.status >= 500 ? 'unknown' : 'fail';
      }
    } catch (error) {
      entry.body = String((error as Error).cause ?? error);
      if (leave_ms !== undefined && (error as Error).name === 'TimeoutError') entry.left = true;
    }
    entry.ended = Date.now();
    journal.write(entry);
    return entry;
  }

  /** Tries until the answer is definite, or the clients are stopped. */
  async function insist(...request: Parameters<typeof attempt>): Promise<Entry> {
    for (;;) {
      const entry = await attempt(...request);
      const isToWait = ['IDEMPOTENCY_KEY_IN_FLIGHT', 'LIMIT_REACHED'].includes(entry.body?.code);
      if ((entry.outcome !== 'unknown' && !isToWait) || signal.aborted) return entry;
      await sleep(random.between(200, 1_000));
    }
  }

  /** Reads, if need be again: a busy machine may answer 503 when all is there. */
  async function read(account: Account, operation: Operation, path: string): Promise<Entry> {
    for (let tries = 1; ; tries += 1) {
      const entry = await attempt(account, operation, { method: 'GET', path });
      if (entry.outcome !== 'unknown' || tries === 20) return entry;
      await sleep(500);
    }
  }

  return { attempt, insist, read };
}

export type Requests = ReturnType<typeof createRequests>;

function formOf(name: string, files: File[]): FormData {
  const form = new FormData();
  for (const file of files) form.append(name, file);
  return form;
}

const isStream = ({ headers }: Response) => headers.get('content-type')?.startsWith('text/event-stream') ?? false;
const isFile = ({ headers }: Response) => headers.get('content-type') === 'application/octet-stream';

async function measure(response: Response): Promise<{ size: number; sha256: string }> {
  const bytes = Buffer.from(await response.arrayBuffer());
  return { size: bytes.length, sha256: sha256Of(bytes) };
}
