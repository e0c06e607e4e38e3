import type { Evidence } from '../evidence.ts';
import type { Change } from '../audit.ts';
import { askedToWait, type Entry } from '../journal.ts';
import { describe } from '../faults.ts';
import { starvedFor } from '../starved.ts';
import { renewalsOf } from '../steerings.ts';
import { during, excusedUntil, hurtsApi } from '../windows.ts';
import { entries, isEnded, time, waitedInVain, type Invariant } from './runs.ts';

/** 7. An acknowledged cancellation is final: nothing is asked or told after it, and calls in flight are closed. */
export const cancelsAreFinal: Invariant = (e) => {
  const faults: string[] = [];
  for (const { run_id, outcome, ended, body } of entries(e, 'cancel')) {
    const run = e.runs.find((row) => row.run_id === run_id)!;
    if (outcome === 'fail' && run.status === 'cancelled')
      faults.push(`${run_id} is cancelled; ${JSON.stringify(body)}`);
    if (outcome !== 'ok') continue;
    if (run.status !== 'cancelled') faults.push(`${run_id} was cancelled and is ${run.status}`);
    const until = excusedUntil(e, ended, 11_000);
    for (const call of e.calls.filter((one) => one.run_id === run_id)) {
      const last = call.answered_at ?? call.closed_at ?? Number.POSITIVE_INFINITY;
      if (call.received_at > until)
        faults.push(`${call.call_id} was asked at ${call.received_at}, cancelled at ${ended}`);
      else if (last > until) faults.push(`${call.call_id} was open until ${last}, cancelled at ${ended}`);
    }
    const orders = e.orders.filter((order) => order.call_id.startsWith(`${run_id}/`) && order.at > until);
    for (const { call_id, at } of orders) faults.push(`${call_id} was ordered at ${at}, cancelled at ${ended}`);
    const told = e.events.filter((event) => event.run_id === run_id).map(({ type }) => type);
    const isAgain = told.includes('run.retried');
    if (told.includes('run.completed') || (told.includes('run.failed') && !isAgain))
      faults.push(`${run_id} was cancelled: ${told.join()}`);
    const sent = e.received.filter(({ payload }) => payload.run_id === run_id).map(({ payload }) => payload.event);
    if (sent.includes('completed') || (sent.includes('failed') && !isAgain))
      faults.push(`${run_id} was cancelled, and sent ${sent.join()}`);
  }
  return faults;
};

/** 8. Every event of a run with a webhook is delivered or being tried, the same each time, signed; none is missing. */
export const eventsAreDelivered: Invariant = (e) => {
  const faults: string[] = [];
  for (const [id, all] of Map.groupBy(e.received, (one) => one.id)) {
    if (new Set(all.map(({ body }) => body)).size > 1) faults.push(`${id} had different bodies`);
    if (all.some(({ verified }) => !verified)) faults.push(`${id} was not signed as its endpoint expects`);
  }
  for (const { delivery_id, status, last_response } of e.deliveries) {
    const taken = e.received.some(({ id, status: given }) => id === delivery_id && given === 204);
    if (status === 'delivered' && !taken) faults.push(`${delivery_id} was not delivered, but says so`);
    if (status === 'failed') faults.push(`${delivery_id} was given up: ${last_response}`);
  }
  for (const run of e.runs) {
    const { run_id, status, webhook_url } = run;
    const prefix = `${run_id}/webhook/`;
    const started = e.workflows.filter(({ workflow_id }) => workflow_id.startsWith(prefix));
    const numbers = started
      .map(({ workflow_id }) => Number(workflow_id.slice(prefix.length)))
      .toSorted((a, b) => a - b);
    // Each try of an orchestration has a million of its own.
    const isNext = (number: number, before = 0) => number === before + 1 || number % 1_000_000 === 1;
    if (numbers.some((number, index) => !isNext(number, numbers[index - 1])))
      faults.push(`${run_id} has webhooks ${numbers.join()}`);
    const rows = e.deliveries.filter((row) => row.run_id === run_id && row.subscription_id === null);
    for (const workflow of started) {
      const delivery_id = `msg_${run_id}_${workflow.workflow_id.slice(prefix.length)}`;
      const row = rows.find((one) => one.delivery_id === delivery_id);
      const isTried = row?.status === 'pending' || (!row && workflow.status === 'RUNNING');
      if (row?.status !== 'delivered' && !isTried) faults.push(`${delivery_id} is ${row?.status}, ${workflow.status}`);
    }
    // Of one that never began, its API tells the end.
    const isTold = waitedInVain(e, run)
      ? rows.some(({ delivery_id }) => delivery_id.includes(`_${status}`))
      : started.some(({ text }) => text.includes(`"event\\":\\"${status}\\"`));
    if (webhook_url && isEnded(status) && !isTold) {
      faults.push(`${run_id} is ${status}, and its webhook was not told`);
    }
  }
  for (const [run_id, events] of Map.groupBy(e.events, (event) => event.run_id)) {
    if (events.some(({ seq }, index) => seq !== index + 1))
      faults.push(`${run_id}: gaps in ${events.map(({ seq }) => seq).join()}`);
    const { status, attempt } = e.runs.find((run) => run.run_id === run_id)!;
    const ends = events.filter(({ type }) => type === `run.${status}`).length;
    if (isEnded(status) && ends !== (status === 'failed' ? attempt : 1))
      faults.push(`${run_id} is ${status}, with ${ends} such events`);
  }
  return faults;
};

/** Each try of a run has its own. */
const versionsPerTry = 1_000_000;
const taskEnds = ['completed', 'skipped', 'cancelled'];

/**
 * 9. No status goes back from an end, unless a person has had the task done again, once for each time; no version falls; what was
 * used is what was answered.
 */
export const nothingGoesBack: Invariant = (e) => {
  const retried = new Set(entries(e, 'retry').map(({ run_id }) => run_id));
  const faults = e.changes
    .filter((change) => {
      const {
        run_id,
        task_id,
        before,
        after,
        versions: [from, to],
        rounds: [round, newRound],
      } = change;
      const isEnd = task_id === null ? isEnded(before) : taskEnds.includes(before);
      // A run that is tried again, with that of its tasks which had failed.
      const isTriedAgain = before === 'failed' && after === 'pending' && (task_id === null || round === newRound);
      const isNextTry = Math.floor(to / versionsPerTry) > Math.floor(from / versionsPerTry);
      if (isTriedAgain) return !isNextTry || !retried.has(run_id);
      if (to < from) return true;
      if (task_id !== null && round !== newRound) return !isRenewed(e, change);
      return (isEnd && before !== after) || (after === 'pending' && before !== after);
    })
    .map((change) => JSON.stringify(change));
  for (const { call_id } of e.llm_calls) {
    const answered = e.calls.some((call) => call.call_id === call_id && call.answered_at !== undefined);
    if (!answered) faults.push(`${call_id} is in the journal, and the model never answered it`);
  }
  for (const { run_id, message } of e.outbox)
    faults.push(`${run_id}: Temporal has not heard of ${JSON.stringify(message)}`);
  return faults;
};

/** By so many people, by then, as it counts rounds. */
function isRenewed(e: Evidence, { run_id, task_id, rounds: [before, after], at }: Change): boolean {
  const asked = renewalsOf(e, run_id, task_id!).filter((steering) => steering.at <= time(at) + 50);
  return after! > before! && after! <= asked.length;
}

/** 10. No secret is anywhere in clear, no account hears of another's run, and every history can be replayed. */
export const nothingLeaks: Invariant = (e) => {
  const faults = [...e.unreplayable];
  for (const [place, text] of Object.entries(e.places)) {
    for (const secret of e.secrets) if (text.includes(secret)) faults.push(`${secret.slice(0, 9)}… is in the ${place}`);
  }
  for (const { path, payload, id } of e.received) {
    const run = e.runs.find(({ run_id }) => run_id === payload.run_id);
    const isEscalation = payload.event === 'gate.overdue' && run?.escalation_webhook_url?.endsWith(path);
    const isSubscribed = e.deliveries.some((row) => row.delivery_id === id && row.url?.endsWith(path));
    if (!run?.webhook_url?.endsWith(path) && !isEscalation && !isSubscribed) faults.push(`${id} came to ${path}`);
  }
  return faults;
};

const promised_ms = 3_000;

/** 20. Every request is answered in time, and none with a 500. */
export const answersArePrompt: Invariant = (e) => lateAnswers(e, e.asked);

/** What an answer says of its API's work, without what that has waited for a CPU: of a wait or a stream, its part. */
function workOf(e: Evidence, { api, invoked, ended }: Answered, app_ms: number): number {
  const part = Math.min(1, app_ms / Math.max(ended - invoked, 1));
  return app_ms - part * starvedFor(e, api, invoked, ended);
}

/** The answers that would be too late, were it not for that. */
export function starvedAnswers(e: Evidence): Answered[] {
  return e.asked.filter((entry) => {
    const { app_ms = 0 } = entry;
    return app_ms > promised_ms && workOf(e, entry, app_ms) <= promised_ms;
  });
}

/** A request with its answer, of whatever journal. */
type Answered = Pick<Entry, 'api' | 'invoked' | 'ended' | 'app_ms' | 'status' | 'body'> & {
  op: string;
  wait?: number;
  left?: true;
};

/**
 * Every request is answered within 3 s, whatever is down, unless its own API was killed or frozen; none is a 500. An
 * answer says itself how long its API has worked on it, for the client's clock also counts what the machine does besides; that its
 * machine gave it no CPU meanwhile is what its kernel says.
 * No answer at all is a hang, unless its client has left.
 */
export function lateAnswers(e: Evidence, answered: Answered[]): string[] {
  return answered.flatMap((entry) => {
    const { op, api, invoked, ended, status, body, app_ms, left } = entry;
    if (left) return [];
    const took = `${status ?? 'no answer'} after ${app_ms ?? '?'} ms, ${ended - invoked} ms by its client`;
    const under = during(e, invoked - 1_000, ended, () => true).map(describe);
    const what = `${op} at ${new Date(invoked).toISOString()} by ${api}: ${took}, during ${under.join('; ') || 'nothing'}`;
    // Its code has failed, and not what answers.
    if (status === 500 && !(op === 'call' && body?.isOfRun && body.error?.code === 'SANDBOX_ERROR'))
      return [`${what}: ${JSON.stringify(body)}`];
    if (status !== undefined && app_ms === undefined) return [`${what}: it does not say how long it took`];
    const time = app_ms === undefined ? ended - invoked - askedToWait(entry) : workOf(e, entry, app_ms);
    if (time <= promised_ms) return [];
    return during(e, invoked, ended, (fault) => hurtsApi(fault, api), 5_000).length > 0 ? [] : [what];
  });
}
