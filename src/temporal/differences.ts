import type { Signed } from '../../db/progress.ts';
import type { StoredGate, StoredRun } from '../../db/reconcile.ts';
import { hasEnded, type Progress } from '../../workflows/contract/states.ts';
import type { KnownRun } from './histories.ts';

/** In what Postgres and Temporal differ about a run. Pure. */

/**
 * `undelivered`: what was committed for Temporal waits. `unknown`: only Temporal has the run. `goes_on`: it has ended in Postgres
 * only; `uncancelled`: by a cancellation. `missing`: only Postgres has it, or the try that it is at. `ended`: it has ended in
 * Temporal only; `output_lost`: with an output that is lost. `text_lost`: the workflow works from what Postgres does not have.
 * `rewound`: the workflow is one of before, and what it writes would count as old. `unheard`: it has not heard what was said to
 * it. `behind`: Postgres has not what it has written.
 */
type DifferenceKind =
  | 'undelivered'
  | 'unknown'
  | 'goes_on'
  | 'uncancelled'
  | 'missing'
  | 'ended'
  | 'output_lost'
  | 'text_lost'
  | 'rewound'
  | 'unheard'
  | 'behind';

/** What differs, what each side has, and what is done about it. */
export type Difference = { kind: DifferenceKind; is: string; mend: string };

/** Both sides of a run. `missing_texts` are those that the workflow refers to and Postgres does not have. */
export type Compared = { run: StoredRun | undefined; known: KnownRun | undefined; missing_texts: string[] };

/** All that a run differs in. What one of them is not mended with is left for the next look. */
export function differencesOf({ run, known, missing_texts }: Compared): Difference[] {
  if (!run) {
    if (!known || known.end) return [];
    return [difference('unknown', 'PostgreSQL does not know it; Temporal has it running', 'end it in Temporal')];
  }
  if (run.undelivered > 0) {
    return [difference('undelivered', `${run.undelivered} messages for it wait to be told to Temporal`, 'tell it')];
  }
  const here = `PostgreSQL has it ${run.status}`;
  if (hasEnded(run.status)) {
    // What is purged is ended by those who purge it.
    if (!known || known.end || known.isCancelling || run.account_id === null) return [];
    const is = `${here}; Temporal has it running`;
    return run.status === 'cancelled'
      ? [difference('uncancelled', is, 'cancel it in Temporal')]
      : [difference('goes_on', is, 'end it in Temporal')];
  }
  // It has yet to begin, or to begin again: Temporal knows nothing of that.
  if (run.queued_at !== null && (!known || known.attempt < run.attempt)) return [];
  if (!known) return [difference('missing', `${here}; Temporal does not know it`, anew)];
  if (known.attempt < run.attempt) {
    const is = `${here}, try ${run.attempt}; Temporal knows try ${known.attempt}`;
    return [difference('missing', is, anew)];
  }
  if (known.end) return [endOf(here, known, missing_texts)];
  const [missing_text] = missing_texts;
  if (missing_text !== undefined) {
    const is = `${here}; Temporal has it running, from texts that PostgreSQL does not have (${missing_text})`;
    return [difference('text_lost', is, `${anew}: what came after is done again`)];
  }
  return [...whileRunning(here, run, known)];
}

const anew = 'begin it anew in Temporal, from what PostgreSQL has';

function endOf(here: string, { end, final_output_id }: KnownRun, missing_texts: string[]): Difference {
  if (end === 'lost') return difference('ended', `${here}; Temporal has it terminated`, 'fail it in PostgreSQL');
  const is = `${here}; Temporal has it ${end}`;
  if (end !== 'completed' || final_output_id === null || !missing_texts.includes(final_output_id)) {
    return difference('ended', is, 'bring PostgreSQL to that');
  }
  return difference('output_lost', `${is}, with an output that PostgreSQL does not have`, 'fail it in PostgreSQL');
}

function* whileRunning(here: string, run: StoredRun, known: KnownRun): Generator<Difference> {
  if (isRewound(run, known)) {
    yield difference('rewound', `${here}; Temporal has it as it was before`, 'let PostgreSQL follow it from there');
  }
  const answers = unheardGates(run, known).length;
  const steerings = Math.max(run.steered - known.steered, 0);
  if (answers + steerings > 0) {
    const said = `answers: ${answers}, changes of tasks: ${steerings}`;
    yield difference('unheard', `PostgreSQL has accepted what Temporal has not heard (${said})`, 'tell it again');
  }
  const news = newsOf(run, known).length + lostAnswers(run, known).length;
  const isOld = run.queued_at !== null || known.steered > run.steered || known.attempt > run.attempt;
  if (news > 0 || isOld) {
    yield difference('behind', `${here}, as it was before; Temporal has gone on`, 'bring PostgreSQL to that');
  }
}

function difference(kind: DifferenceKind, is: string, mend: string): Difference {
  return { kind, is, mend };
}

/** True when all that the workflow will write next would be older than what stands in Postgres. */
function isRewound({ writers, version, version_base }: StoredRun, { execution, versions }: KnownRun): boolean {
  if (!writers.includes(execution)) return false;
  return writers.at(-1) !== execution || version - version_base >= versions;
}

/** The answers in Postgres that the workflow has not heard. */
export function unheardGates({ gates }: StoredRun, { hasHeard }: KnownRun): StoredGate[] {
  return gates.filter((gate) => gate.status === 'answered' && !hasHeard(gate));
}

/** The answers that have come over REST, which accepts them here first, and are not here any more. */
function lostAnswers({ gates }: StoredRun, { answers }: KnownRun): KnownRun['answers'] {
  const open = new Set(gates.filter(({ status }) => status === 'open').map(({ gate_id }) => gate_id));
  return answers.filter(({ gate_id, output_id }) => output_id !== undefined && open.has(gate_id));
}

/** What the workflow has written that Postgres does not have, in its order. */
export function newsOf({ writers, version, version_base }: StoredRun, { progress }: KnownRun): Signed<Progress>[] {
  return progress.filter(({ writer, version: written }) => {
    const isNewWriter = writers.length > 0 && !writers.includes(writer!);
    const isNewest = writers.length === 0 || writers.at(-1) === writer;
    return isNewWriter || (isNewest && version_base + written > version);
  });
}
