import { setTimeout as sleep } from 'node:timers/promises';
import { finishIndexing, listUnfinishedAfter, listUnfinishedIndexings, tellIndexing } from '../../db/indexings.ts';
import type { IndexingRef } from '../../workflows/contract/knowledge.ts';
import type { KnownIndexing } from './indexing.ts';
import { indexingTerminated } from './lost.ts';
import type { Sides } from './mend.ts';
import { patiently, settle_ms, type ReconcileOptions } from './reconcile.ts';

/**
 * Compares what Postgres and Temporal have of documents that wait for their indexing, and brings them together. One that goes on
 * in Temporal alone ends there by itself: it finds that nothing is to be done any more.
 */

/** A document whose indexing is lost, and what is done about it. */
export type LostDocument = { document_id: string; is: string; mend: string };

const pageSize = 200;

/** All whose indexing Postgres has unfinished and Temporal does not have under way. `count` says how many were compared. */
export async function* reconcileDocuments(
  sides: Sides,
  { mends, account_id }: Pick<ReconcileOptions, 'mends' | 'account_id'>,
  count: { documents: number },
): AsyncGenerator<LostDocument> {
  for (let page: IndexingRef[] = [], after = ''; ; after = page.at(-1)!.document_id) {
    page = await listUnfinishedAfter(sides.db, after, pageSize, account_id);
    count.documents += page.length;
    const lost = await findLost(sides, page);
    if (lost.length > 0) await sleep(settle_ms);
    // What has ended meanwhile was on its way.
    for (const { document, known } of await findLost(
      sides,
      await listUnfinishedIndexings(
        sides.db,
        lost.map((one) => one.document),
      ),
    )) {
      if (mends) await mendDocument(sides, document, known);
      yield { document_id: document.document_id, ...differences[known] };
    }
    if (page.length < pageSize) return;
  }
}

type Lost = { document: IndexingRef; known: Exclude<KnownIndexing, 'goes_on'> };

async function findLost({ engine }: Sides, documents: IndexingRef[]): Promise<Lost[]> {
  const lost: Lost[] = [];
  for (const document of documents) {
    const known = await patiently(() => engine.findIndexing(document));
    if (known !== 'goes_on') lost.push({ document, known });
  }
  return lost;
}

const here = 'PostgreSQL waits for its indexing';
const differences: Record<Lost['known'], Omit<LostDocument, 'document_id'>> = {
  unknown: { is: `${here}; Temporal does not know it`, mend: 'begin it anew in Temporal' },
  ended: { is: `${here}; it has ended in Temporal`, mend: 'index it once more' },
  terminated: { is: `${here}; it was terminated in Temporal`, mend: 'fail it in PostgreSQL' },
};

/** Each is one transaction; the outbox of this process, or the next API, tells Temporal. */
async function mendDocument({ db, engine }: Sides, document: IndexingRef, known: Lost['known']): Promise<void> {
  if (known === 'terminated') return void (await finishIndexing(db, document, indexingTerminated));
  // Where Postgres is the older one, Temporal may know later ones too, and takes none a second time.
  let next = document.attempt;
  while ((await patiently(() => engine.findIndexing({ ...document, attempt: next }))) !== 'unknown') next += 1;
  await tellIndexing(db, document, next);
}
