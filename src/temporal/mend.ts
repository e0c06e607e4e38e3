import type { Db } from '../../db/index.ts';
import { saveProgress } from '../../db/progress.ts';
import {
  countOn,
  findStoredRun,
  noteHeard,
  startAgain,
  tell,
  tellAgain,
  tellEnd,
  type StoredRun,
} from '../../db/reconcile.ts';
import { endLostRun, type LostEnd } from '../../db/run-ends.ts';
import { newsOf, unheardGates, type Compared, type Difference } from './differences.ts';
import { terminated } from './lost.ts';
import type { KnownRun } from './histories.ts';
import type { Engine } from './engine.ts';

export type Sides = { db: Db; engine: Engine };

const doneAgain =
  'The database was restored from a backup. What this run had done since then is done again: calls of models are paid again, ' +
  'calls of tools are made again, and people are asked again.';
const outputLost =
  'This run was completed, but its output was lost: the database was restored from a backup that is older.';
const failedThere = 'This run failed, and why was lost: the database was restored from a backup that is older.';
const unknownHere = 'PostgreSQL does not know this run: it was restored from a backup that is older.';

/** Mends one difference. Each is one transaction, or may be done again; a run that has changed since stays as it is. */
export async function mend(
  sides: Sides,
  run_id: string,
  { run, known }: Compared,
  { kind }: Difference,
): Promise<unknown> {
  const { db, engine } = sides;
  switch (kind) {
    // The outbox of this process tells it.
    case 'undelivered':
      return;
    case 'unknown':
      return engine.terminate(run_id, known!.execution, unknownHere);
    case 'goes_on':
      await tellEnd(db, run_id);
      return engine.terminate(run_id, known!.execution, `The run is ${run!.status} in PostgreSQL.`);
    case 'uncancelled':
      return tell(db, run_id, [{ kind: 'cancel' }]);
    case 'missing':
      return startAgain(db, run!);
    case 'text_lost':
      return startAgain(db, run!, doneAgain);
    case 'output_lost':
      return endLostRun(db, run_id, { status: 'failed', error: outputLost });
    case 'ended':
      await followAnew(sides, run!, known!);
      await endLostRun(db, run_id, endOf(known!));
      return tellEnd(db, run_id);
    case 'rewound':
      return followAnew(sides, run!, known!);
    case 'unheard':
      return tellAgain(db, run!, unheardGates(run!, known!), known!.steered);
    case 'behind':
      return bringForward(sides, run!, known!);
  }
}

/** Where it has not written that itself. */
function endOf({ end, final_output_id }: KnownRun): LostEnd {
  if (end === 'completed') return { status: 'completed', final_output_id };
  if (end === 'cancelled') return { status: 'cancelled' };
  return { status: 'failed', error: end === 'lost' ? terminated : failedThere };
}

/**
 * Has Postgres follow the workflow from where that is now. What it has written since it was restored may have counted as old, so
 * all of it is written again.
 */
async function followAnew(sides: Sides, run: StoredRun, known: KnownRun): Promise<void> {
  const { execution, end } = known;
  if (!(await countOn(sides.db, run, { execution, goesOn: !end }))) return;
  const followed = await findStoredRun(sides.db, run.run_id);
  if (followed) await bringForward(sides, followed, known);
}

/** Writes what the workflow has written before, in its order. */
async function bringForward({ db }: Sides, run: StoredRun, known: KnownRun): Promise<void> {
  for (const progress of newsOf(run, known)) await saveProgress(db, run.run_id, progress);
  // What an operator sends by hand may not have been taken.
  const answers = known.answers.filter(({ output_id }) => output_id !== undefined);
  await noteHeard(db, run, { ...known, answers });
}
