import type { Entry } from '../journal.ts';
import { wordOf } from '../shelf.ts';
import { workersWereHurt } from '../windows.ts';
import { entries, type Invariant } from './runs.ts';

/**
 * 38. A document whose upload is acknowledged is indexed, whole, or has failed with the reason, and is there once until it is deleted;
 * then it is gone.
 */
export const documentsAreIndexed: Invariant = (e) => {
  const { documents, workflows } = e.library;
  const faults: string[] = [];
  for (const { document_id, status, failure, chunks, written, embedded, attempt } of documents) {
    const told = `${document_id} is ${status} (${failure}), with ${embedded} of ${written} of ${chunks} passages`;
    const isWhole = status === 'indexed' && failure === null && chunks === written && written === embedded;
    if (!isWhole && !(status === 'failed' && failure)) faults.push(told);
    const refused = e.library.asked.some(({ fault }) => fault === 'key refused');
    if (status === 'failed' && !refused) faults.push(`${told}, for no good reason`);
    for (let n = 1; n <= attempt; n += 1) {
      const own = workflows.filter(({ workflow_id }) => workflow_id === `${document_id}/index/${n}`);
      if (own.length !== 1 || own[0]!.status !== 'COMPLETED')
        faults.push(`${told}; its workflows of try ${n}: ${JSON.stringify(own)}`);
    }
  }
  for (const [key, tries] of Map.groupBy(entries(e, 'add documents'), (entry) => entry.key ?? entry.names.join()))
    faults.push(...uploadFaults(e, key, tries));
  return faults;
};

type Added = Extract<Entry, { op: 'add documents' }>;

function uploadFaults(e: Parameters<Invariant>[0], key: string, tries: Added[]): string[] {
  const faults: string[] = [];
  const acked = tries.filter(({ outcome }) => outcome === 'ok');
  const ids = new Set(acked.map(({ body }) => body.documents.map((one: any) => one.document_id).join()));
  if (ids.size > 1) faults.push(`${key} was acknowledged as ${[...ids].join(' and as ')}`);
  for (const { outcome, status, body } of tries) {
    if (outcome === 'fail' && status !== 409 && status !== 429)
      faults.push(`${key} was refused: ${JSON.stringify(body)}`);
  }
  for (const name of tries[0]!.names) {
    const rows = e.library.documents.filter((row) => row.name === name);
    if (rows.length > 1) faults.push(`${name} is there ${rows.length} times`);
    const told = acked[0]?.body.documents.find((one: any) => one.name === name);
    if (!told) continue;
    const deletions = entries(e, 'delete document').filter((entry) => entry.document_id === told.document_id);
    const isDeleted = deletions.some(({ outcome, status }) => outcome === 'ok' || status === 404);
    if (isDeleted && rows.length > 0) faults.push(`${name} was deleted, and is there`);
    if (deletions.length === 0 && rows.length === 0) faults.push(`${name} was acknowledged, and is gone`);
  }
  return faults;
}

/** 39. No passage is embedded twice, unless a fault fell into the call: never after its answer was kept; what is kept was answered. */
export const embeddingsArePaidOnce: Invariant = (e) => {
  const { asked, paid } = e.library;
  const faults: string[] = [];
  for (const [first, calls] of Map.groupBy(asked, ({ texts }) => texts[0]!)) {
    for (const [index, { at }] of calls.entries()) {
      const before = calls[index - 1];
      if (!before || before.fault || before.answered_at === undefined) continue;
      if (before.answered_at - before.at > longestAnswer_ms || workersWereHurt(e, before.at - 1_000, at)) continue;
      faults.push(`"${first.slice(0, 40)}…" was embedded at ${before.at}, and again at ${at}`);
    }
  }
  const texts = asked.filter(({ fault, answered_at }) => answered_at !== undefined && !fault);
  const distinct = new Set(texts.map((call) => call.texts[0])).size;
  if (paid.length > texts.length) faults.push(`${paid.length} calls were paid, and ${texts.length} answered`);
  if (paid.length > distinct + entries(e, 'index again').length)
    faults.push(`${paid.length} calls were paid for ${distinct} batches`);
  return faults;
};

/** A model that takes longer is hung up on. */
const longestAnswer_ms = 3_900;

/** 40. What became of a document is told to who subscribes, once for each time that it was indexed, the same each time. */
export const documentsAreToldOf: Invariant = (e) => {
  const { documents, told, deliveries } = e.library;
  const faults: string[] = [];
  for (const [id, all] of Map.groupBy(told, (one) => one.id)) {
    if (new Set(all.map(({ body }) => body)).size > 1) faults.push(`${id} had different bodies`);
    if (all.some(({ verified }) => !verified)) faults.push(`${id} was not signed as its endpoint expects`);
  }
  for (const { delivery_id, status } of deliveries)
    if (status !== 'delivered' && status !== 'pending') faults.push(`${delivery_id} is ${status}`);
  for (const { document_id, attempt, status } of documents) {
    const own = deliveries.filter(({ body }) => body?.includes(`"${document_id}"`));
    const events = own.map(({ event }) => event);
    if (own.length !== attempt) faults.push(`${document_id} was told ${events.join()}, of ${attempt} tries`);
    if (events.filter((event) => event === 'knowledge.indexed').length !== (status === 'indexed' ? 1 : 0))
      faults.push(`${document_id} is ${status}, and was told ${events.join()}`);
    const unheard = own.filter(
      (row) =>
        row.status === 'delivered' && !told.some(({ id, status: given }) => id === row.delivery_id && given === 204),
    );
    for (const { delivery_id } of unheard) faults.push(`${delivery_id} was not delivered, but says so`);
  }
  return faults;
};

/** 41. What is indexed is found by its words, and nothing that is deleted; nobody finds what is another's. */
export const documentsAreFound: Invariant = (e) =>
  entries(e, 'search').flatMap(({ account, word, document_id, due, outcome, body }) => {
    if (outcome !== 'ok') return [];
    const found = (body.results as { document_id: string; document: string; text: string }[]) ?? [];
    const faults: string[] = [];
    const isFound = found.some((one) => one.document_id === document_id && one.text.includes(word));
    if (due === 'found' && !isFound) faults.push(`${document_id} was not found by ${word}`);
    if (due === 'gone' && found.some((one) => one.document_id === document_id))
      faults.push(`${document_id} was deleted, and found by ${word}`);
    const owners = new Map(entries(e, 'add documents').flatMap((one) => one.names.map((name) => [name, one.account])));
    for (const one of found) {
      const owner = owners.get(one.document);
      if (owner !== account) faults.push(`${account} has found ${one.document} of ${owner}`);
      if (one.text.includes('zq') && !one.text.includes(wordOf(one.document)))
        faults.push(`${one.document} has another's words`);
    }
    return faults;
  });

/** 42. The tokens of a stream go on one from the other, and are the output of the run together when its result comes. */
export const tokensAreTheOutput: Invariant = (e) => {
  const faults: string[] = [];
  for (const { run, isStream, outcome, body } of entries(e, 'start')) {
    if (!isStream || outcome !== 'ok') continue;
    const { run_id, text, gaps, result } = body;
    if (gaps > 0) faults.push(`${run}: ${gaps} gaps in the tokens of ${run_id}`);
    if (result?.status !== 'completed') continue;
    const row = e.runs.find((one) => one.run_id === run_id);
    const stands = e.texts.get(row?.final_output_id ?? '');
    if (text !== result.output) faults.push(`${run_id} was read as "${text}", and its output is "${result.output}"`);
    if (result.output !== stands) faults.push(`${run_id} was told to be "${result.output}", and "${stands}" stands`);
  }
  return faults;
};
