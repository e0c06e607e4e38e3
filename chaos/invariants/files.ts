import { ancestors } from '../../workflows/contract/graph.ts';
import type { Evidence } from '../evidence.ts';
import { fileMark, fileMarks } from '../files.ts';
import type { Entry } from '../journal.ts';
import { steeringsOf } from '../steerings.ts';
import { entries, type Invariant } from './runs.ts';

type Tries = Extract<Entry, { op: 'upload' }>[];
/** What must have become of a file: `either` where nobody was told. */
type Fate = 'stays' | 'gone' | 'either';

/**
 * 32. A file whose keeping is acknowledged is read back byte for byte until it is deleted, or the run is purged to which alone it was
 * given; from then on nobody finds it. One that was refused is nowhere, and the folder has what there are rows of, whole, and no more.
 */
export const filesAreKept: Invariant = (e) => {
  const faults = storeFaults(e);
  for (const [name, tries] of Map.groupBy(entries(e, 'upload'), (entry) => entry.name))
    faults.push(...uploadFaults(e, name, tries));
  for (const { file_id, outcome, status, body, invoked, ended } of entries(e, 'read file')) {
    const sent = sentAs(e, file_id);
    const isSame = sent?.sha256 === body?.sha256 && sent?.size === body?.size;
    if (outcome === 'ok' && !isSame) faults.push(`${file_id} was read as ${JSON.stringify(body)}`);
    const deleted = entries(e, 'delete file').filter((entry) => entry.file_id === file_id);
    if (outcome === 'ok' && deleted.some((entry) => isDone(entry) && entry.ended < invoked))
      faults.push(`${file_id} was deleted, and read at ${invoked}`);
    const mayBeGone = deleted.some((entry) => entry.invoked < ended) || mayBePurged(e, file_id, ended);
    if (outcome === 'fail' && !mayBeGone) faults.push(`${file_id} was to be read at ${invoked}, and was ${status}`);
  }
  return faults;
};

function storeFaults({ store, files: ofAccounts, bundles }: Evidence): string[] {
  const files = [...ofAccounts, ...bundles.map(asFile)];
  const faults = store.incoming.map((name) => `${name} is left of what came in`);
  for (const { file_id, sha256, size } of store.stored) {
    const row = files.find((one) => one.file_id === file_id);
    if (!row) faults.push(`${file_id} is in the store, and nobody knows of it`);
    else if (row.sha256 !== sha256 || row.size !== size) faults.push(`${file_id} is another in the store`);
  }
  const stored = new Set(store.stored.map(({ file_id }) => file_id));
  for (const { file_id, status } of files) {
    if (status !== 'stored') faults.push(`${file_id} is ${status} after housekeeping`);
    else if (!stored.has(file_id)) faults.push(`${file_id} is not in the store`);
  }
  return faults;
}

/** Code lies there too, under its hash. */
function asFile({ code_hash, bundle_size_bytes: size, status }: Evidence['bundles'][number]) {
  return { file_id: `bundle_${code_hash}`, sha256: code_hash, size, status };
}

function uploadFaults(e: Evidence, name: string, tries: Tries): string[] {
  const { key, sha256, size } = tries[0]!;
  const faults: string[] = [];
  const rows = e.files.filter((row) => row.name === name);
  const acked = new Set(tries.filter(({ outcome }) => outcome === 'ok').map(({ body }) => body.file_id as string));
  const most = key ? 1 : tries.filter(({ outcome }) => outcome !== 'fail').length;
  if (rows.length > most || acked.size > 1)
    faults.push(`${name} was kept as ${[...acked].join()}, and is ${rows.length}`);
  for (const { outcome, status, body } of tries) {
    if (outcome === 'fail' && status !== 409 && status !== 429)
      faults.push(`${name} was refused: ${JSON.stringify(body)}`);
  }
  for (const row of rows) {
    if (row.sha256 !== sha256 || row.size !== size) faults.push(`${row.file_id} is not what was sent as ${name}`);
  }
  for (const file_id of acked) {
    const isThere = rows.some((row) => row.file_id === file_id);
    const fate = fateOf(e, file_id);
    if (fate === 'stays' && !isThere) faults.push(`${file_id} was acknowledged as ${name}, and is gone`);
    if (fate === 'gone' && isThere) faults.push(`${file_id} was to go, and is there`);
  }
  return faults;
}

function fateOf(e: Evidence, file_id: string): Fate {
  const deleted = entries(e, 'delete file').filter((entry) => entry.file_id === file_id);
  if (deleted.some(isDone)) return 'gone';
  const isGiven = e.run_files.some((row) => row.file_id === file_id);
  const toPurged = givings(e, file_id).filter(({ run_id }) => e.purged.has(run_id));
  if (!isGiven && toPurged.some(({ outcome }) => outcome === 'ok')) return 'gone';
  return deleted.length > 0 || toPurged.length > 0 ? 'either' : 'stays';
}

/** A second try finds nothing when the first one was done, and its answer was lost. */
const isDone = ({ outcome, status }: Entry) => outcome === 'ok' || status === 404;

function sentAs(e: Evidence, file_id: string) {
  return entries(e, 'upload').find(({ outcome, body }) => outcome === 'ok' && body.file_id === file_id);
}

/** Where a file was given to a run, or may have been. */
function givings(e: Evidence, file_id: string): { run_id: string; outcome: Entry['outcome'] }[] {
  return e.asked.flatMap((entry) => {
    if (entry.op !== 'start' && entry.op !== 'complete') return [];
    if (!entry.attachments?.includes(file_id) || entry.outcome === 'fail') return [];
    const run_id = entry.op === 'start' ? entry.body?.run_id : entry.run_id;
    return run_id ? [{ run_id, outcome: entry.outcome }] : [];
  });
}

function mayBePurged(e: Evidence, file_id: string, by: number): boolean {
  return givings(e, file_id).some(({ run_id }) =>
    e.asked.some((entry) => entry.op === 'purge' && entry.run_id === run_id && entry.invoked < by),
  );
}

/**
 * 33. A run has the files that it was given, and its models their texts: with the goal, all that plan, work and conclude; with an answer
 * that stands, those who work after it. No model is given what another run was.
 */
export const modelsAreGivenFiles: Invariant = (e) => {
  const faults: string[] = [];
  for (const { run_id, given, gate_id } of acknowledged(e)) {
    for (const file_id of given.filter((id) => !hasFile(e, run_id, id, gate_id)))
      faults.push(`${run_id} was given ${file_id} ${gate_id && `at ${gate_id}`}, and has it not`);
  }
  const givenTo = Map.groupBy(e.run_files, ({ run_id }) => run_id);
  const told = e.calls.filter(({ purpose }) => ['split', 'execute', 'finalize'].includes(purpose));
  for (const call of told) {
    for (const file of givenTo.get(call.run_id) ?? []) {
      if (isDueIn(e, call, file) && !call.prompt.includes(fileMark(file.name)))
        faults.push(`${call.call_id} was not given ${file.name} of ${file.gate_id || 'the goal'}`);
    }
  }
  for (const { call_id, run_id, prompt } of e.calls) {
    const own = new Set((givenTo.get(run_id) ?? []).map(({ name }) => fileMark(name)));
    for (const mark of new Set(prompt.match(fileMarks) ?? []))
      if (!own.has(mark)) faults.push(`${call_id} was given ${mark} of another`);
  }
  return faults;
};

type RunFile = Evidence['run_files'][number];

/** What runs were given, as their clients were told. */
function acknowledged(e: Evidence): { run_id: string; given: string[]; gate_id: string }[] {
  const starts = entries(e, 'start').map((entry) => ({ ...entry, gate_id: '', run_id: entry.body?.run_id }));
  return [...starts, ...entries(e, 'complete')]
    .filter(({ outcome }) => outcome === 'ok')
    .map(({ run_id, attachments = [], gate_id }) => ({ run_id, given: attachments, gate_id }));
}

const hasFile = ({ run_files }: Evidence, run_id: string, file_id: string, gate_id: string) =>
  run_files.some((row) => row.run_id === run_id && row.file_id === file_id && row.gate_id === gate_id);

/** Where tasks were done again, what came with an answer is not looked for: it may have come after what is looked at. */
function isDueIn(e: Evidence, call: Evidence['calls'][number], { run_id, gate_id, task_id }: RunFile): boolean {
  if (gate_id === '') return true;
  const isAfter = entries(e, 'complete').some(
    (entry) => entry.gate_id === gate_id && entry.outcome === 'ok' && entry.ended < call.received_at,
  );
  if (!isAfter || steeringsOf(e, run_id).length > 0) return false;
  const tasks = e.tasks.filter((task) => task.run_id === run_id);
  return call.purpose === 'finalize' || (!!call.task_id && ancestors(tasks, call.task_id).includes(task_id!));
}
