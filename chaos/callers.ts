import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from './accounts.ts';
import { late_mark, lateBelow_mark } from './agent.ts';
import { answerOf, type CallEntry } from './call-answers.ts';
import type { First, Firsts } from './firsts.ts';
import type { CallKind } from './journal.ts';
import type { AgentName } from './offers.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';
import { hasSandbox } from './sandbox.ts';

/**
 * Those who call agents at `/{org}/{agent}/{version}/{endpoint}`, and ask again as the clients of orchagent do: when there was no
 * answer, or one that says that the next may be another; mostly without an `Idempotency-Key`.
 */

/** Seconds that they wait for an answer. */
const wait = 22;
/** How often one calls whose runs fail. */
const mostRuns = 3;

const kinds: CallKind[] = [
  'in a chain',
  ...(hasSandbox ? (['code that calls', 'code'] as const) : []),
  'again',
  'too late',
  ...(hasSandbox ? (['code'] as const) : []),
  'once',
  'as events',
];

type Given = Pick<Requests, 'attempt'> & { random: Random; firsts: Firsts; isOver: () => boolean };
/** Who calls, whose agent it may be besides, and a name for it. */
type Whose = [account: Account, other: Account, run: string];

/** What is done where an answer has come. */
const done: Partial<Record<CallKind, First>> = {
  once: 'calls answered',
  'as events': 'calls answered by events',
  'in a chain': 'agents that called others',
  code: 'code called',
  'code that calls': 'agents called by code',
};

function createCalls(random: Random) {
  /** What is asked, the same each time. */
  function requestOf(kind: CallKind, [account, other, run]: Whose) {
    const name = agentFor(kind);
    const isOwn = name !== 'reader' || kind === 'again' || random.chance(0.6);
    const agent = `${isOwn ? account.org : other.org}/${name}`;
    const path = `/${agent}/${random.pick(['v1', 'latest'])}/${random.pick(['run', 'analyze'])}`;
    const tenant = `tenant-${random.pick([1, 2, 3])}`;
    const key = kind !== 'again' && random.chance(0.2) ? `call-${run}` : undefined;
    const lateMark = name === 'lead' ? lateBelow_mark : late_mark;
    const text = `[run:${run}] ${kind === 'too late' ? `${lateMark} ` : ''}What is new on the market?`;
    const deadline_at = kind === 'too late' ? Date.now() + Math.round(random.between(3_000, 6_000)) : undefined;
    const call = {
      'x-orchagent-tenant': tenant,
      ...(deadline_at && { 'x-orchagent-deadline-ms': String(deadline_at) }),
    };
    const operation = { op: 'call' as const, run, kind, account: account.name, agent, tenant, key, deadline_at, wait };
    return { operation, request: { method: 'POST', path, body: { text }, key, call } };
  }

  function agentFor(kind: CallKind): AgentName {
    switch (kind) {
      case 'code':
        return 'teller';
      case 'code that calls':
        return 'courier';
      case 'in a chain':
        return 'lead';
      default:
        return kind !== 'once' && random.chance(0.4) ? 'lead' : 'reader';
    }
  }

  /** How its client leaves this time, if it does. */
  function leaving(isStream: boolean, isToLeave: boolean) {
    if (isStream) return isToLeave ? { leave_after: random.pick([1, 1, 2, 4]) } : {};
    return { leave_ms: isToLeave ? Math.round(random.between(200, 3_000)) : wait * 1_000 };
  }

  return { requestOf, leaving };
}

export function createCallers({ attempt, random, firsts, isOver }: Given) {
  const { requestOf, leaving } = createCalls(random);
  let turn = 0;

  async function call(kind: CallKind, ...whose: Whose): Promise<void> {
    const { operation, request } = requestOf(kind, whose);
    const begun = new Set<string>();
    let failed = 0;
    for (let tries = 1; !isOver(); tries += 1) {
      const isFirst = tries === 1;
      const isStream = kind === 'as events' || (kind === 'again' ? isFirst : random.chance(0.2));
      const isToLeave = kind === 'again' ? isFirst : tries < 4 && random.chance(0.35);
      const accept: Record<string, string> = isStream ? { accept: 'text/event-stream' } : {};
      const sent = { ...request, call: { ...request.call, ...accept }, ...leaving(isStream, isToLeave) };
      const entry = (await attempt(whose[0], operation, sent)) as CallEntry;
      const { run_id, data, error, isOfRun } = answerOf(entry);
      note(entry, begun);
      if (run_id) begun.add(run_id);
      if (data) return;
      if (error && isOfRun) failed += 1;
      const isLast = request.key !== undefined || error?.is_retryable === false || failed === mostRuns;
      if (entry.outcome === 'fail' && isLast) return;
      await sleep(random.between(300, 1_500));
    }
  }

  /** `begun`: runs of the same call that its client had left. */
  function note(entry: CallEntry, begun: Set<string>): void {
    const { kind } = entry;
    const { run_id, data, error, isOfRun } = answerOf(entry);
    if (!run_id) return;
    if (data && begun.has(run_id)) firsts.note('calls taken up again', run_id);
    const first = data && (kind !== 'code that calls' || data.run) && done[kind];
    if (first) firsts.note(first, run_id);
    if (entry.deadline_at && error?.code === 'TIMEOUT' && isOfRun) firsts.note('calls ended by their deadline', run_id);
  }

  return {
    call,
    /** Of the next kind: the first of each come first. */
    callNext: (...whose: Whose) => call(kinds[turn++ % kinds.length]!, ...whose),
  };
}
