import { runIdOf } from '../src/ids.ts';
import type { Entry } from './journal.ts';
import { hearEvents } from './tokens.ts';

/** How calls of agents are answered: at once when they have ended, or as events until then. */

/** What was heard of a call: what it has come to, where that has come, and of which run. */
export type CallAnswer = {
  run_id?: string;
  data?: Record<string, any>;
  version?: string;
  error?: { code: string; message: string; is_retryable: boolean; reason?: string };
  /** Of its run, and not of the request. */
  isOfRun: boolean;
  /** It broke off before its end, or its client has left. */
  broke?: string | undefined;
};

/** Reads an answer to its end, or until so many events are read and its client leaves. */
export async function readCallAnswer(response: Response, leave_after = Infinity): Promise<CallAnswer> {
  const answer: CallAnswer = { run_id: runIdOf(response.headers.get('x-run-id') ?? ''), isOfRun: false };
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
  if (!isStream) {
    hear(answer, (await response.json()) as Record<string, any>);
    return answer;
  }
  answer.broke = await hearEvents(response, leave_after, (block) => {
    const [, event, data] = /^event: (.*)\ndata: (.*)$/m.exec(block) ?? [];
    if (event === 'result' || event === 'error') hear(answer, JSON.parse(data!));
    return Boolean(answer.data ?? answer.error);
  });
  return answer;
}

function hear(answer: CallAnswer, { data, error, metadata }: Record<string, any>): void {
  Object.assign(answer, error ? { error } : { data, version: metadata.version });
  answer.isOfRun = metadata?.run_id !== undefined;
}

/** `fail`: it was refused, or its run has failed. What may be refused for now alone has done nothing yet. */
export function outcomeOf({ data, error, isOfRun }: CallAnswer, status: number): 'ok' | 'fail' | 'unknown' {
  if (data) return 'ok';
  if (!error) return 'unknown';
  const isForNow = status >= 500 || status === 429 || error.reason === 'IDEMPOTENCY_KEY_IN_FLIGHT';
  return isOfRun || !isForNow || !error.is_retryable ? 'fail' : 'unknown';
}

export type CallEntry = Extract<Entry, { op: 'call' }>;

const none: CallAnswer = { isOfRun: false };

/** Nothing where no answer came. */
export function answerOf({ body }: CallEntry): CallAnswer {
  return typeof body === 'object' ? (body as CallAnswer) : none;
}
