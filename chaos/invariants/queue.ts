import type { Evidence } from '../evidence.ts';
import { limits } from '../limits.ts';
import { mostAtOnce } from './hostile.ts';
import { entries, isCalled, isEnded, time, timesBegun, type Invariant, type Run } from './runs.ts';

/** 34. However many runs an account starts, no more are active at once than may be: as they begin, and by the time of each. */
export const placesAreKept: Invariant = (e) => {
  const inPlaces = e.begun.filter(({ is_called }) => !is_called);
  const faults = inPlaces
    .filter(({ active }) => active > limits.activeRuns)
    .map(({ run_id, account_id, active }) => `${run_id} began as the ${active}th of ${account_id} at once`);
  for (const [account_id, begun] of Map.groupBy(inPlaces, (row) => row.account_id)) {
    const most = mostAtOnce(begun.map((row) => ({ from: time(row.noted_at), to: endAfter(e, row) })));
    if (most > limits.activeRuns) faults.push(`${account_id} had ${most} active runs at once`);
  }
  return faults;
};

function endAfter({ changes, gathered_at }: Evidence, { run_id, noted_at }: Evidence['begun'][number]): number {
  const end = changes.find(
    (change) =>
      change.run_id === run_id && change.task_id === null && isEnded(change.after) && time(change.at) >= time(noted_at),
  );
  return end ? time(end.at) : gathered_at;
}

/** 35. No run begins before its time, or before one of its account that waited longer; and each that ended by itself has begun, once. */
export const runsBeginInTurn: Invariant = (e) => [
  ...e.runs.flatMap((run) => countFaults(e, run)),
  ...e.begun.flatMap((begun) => earlyFaults(e, begun)),
  ...[...Map.groupBy(e.begun, (row) => row.account_id).values()].flatMap((begun) =>
    turnFaults(
      e,
      begun.filter(({ is_called }) => !is_called),
    ),
  ),
];

function countFaults(e: Evidence, { run_id, status, attempt }: Run): string[] {
  if (e.begun.some((row) => row.run_id === run_id && row.is_called) && !isCalled(e, run_id))
    return [`${run_id} has begun beside the queue, and no agent has called it`];
  const times = timesBegun(e, run_id);
  const isDue = status === 'cancelled' ? times <= attempt : times === attempt;
  return isDue ? [] : [`${run_id} is ${status} at attempt ${attempt}, and has begun ${times} times`];
}

/** A time that was asked for, by the clock of the database and by that of its client. */
function earlyFaults(e: Evidence, { run_id, start_at, at, noted_at }: Evidence['begun'][number]): string[] {
  const faults: string[] = [];
  if (start_at !== null && time(start_at) > time(at))
    faults.push(`${run_id} began at ${at}, and was due at ${start_at}`);
  const puttings = entries(e, 'put off').filter((entry) => entry.run_id === run_id && entry.outcome !== 'fail');
  const isPutOff = puttings.some(({ outcome }) => outcome === 'ok');
  const started = entries(e, 'start').find(({ outcome, body }) => outcome === 'ok' && body.run_id === run_id);
  const tries = entries(e, 'start').filter(({ run, outcome }) => run === started?.run && outcome !== 'fail');
  // Who puts a run off may have it begin sooner, too.
  const asked = isPutOff ? puttings : puttings.length === 0 ? tries : [];
  const due = Math.min(...asked.map(({ invoked, start_in_ms = 0 }) => invoked + start_in_ms));
  const first = Math.min(
    time(noted_at),
    ...e.calls.filter((call) => call.run_id === run_id).map((call) => call.received_at),
  );
  if (asked.length > 0 && first < due) faults.push(`${run_id} began at ${first}, and its client asked for ${due}`);
  return faults;
}

/** Those that were known to wait when others began that had come after them, and let nobody by. */
function turnFaults(e: Evidence, begun: Evidence['begun']): string[] {
  return begun.flatMap((late) => {
    const known = knownToWait(e, late);
    const before = begun.find(
      (early) =>
        early.begun_id < late.begun_id &&
        early.txid !== late.txid &&
        time(early.queued_at) > time(late.queued_at) &&
        time(early.at) > known,
    );
    return before ? [`${late.run_id} waited since ${late.queued_at}, and ${before.run_id} began before it`] : [];
  });
}

/** From when on whoever looks sees it in the queue; never where it was held, or nobody was told. */
function knownToWait(e: Evidence, { run_id, at }: Evidence['begun'][number]): number {
  if (e.events.some((event) => event.run_id === run_id && event.type === 'run.held')) return Number.POSITIVE_INFINITY;
  const asked = [
    ...entries(e, 'start').filter(({ outcome, body }) => outcome === 'ok' && body.run_id === run_id),
    ...[...entries(e, 'put off'), ...entries(e, 'retry')].filter((entry) => entry.run_id === run_id),
  ];
  const acked = asked.filter(({ invoked }) => invoked < time(at)).map(({ ended }) => ended);
  return acked.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...acked);
}
