import { sql, type RawBuilder } from 'kysely';
import { eventOf } from '../workflows/contract/events.ts';
import type { HumanField } from '../workflows/contract/field-values.ts';
import { filesInForm, isBlank, type FileInForm } from '../workflows/contract/form.ts';
import { readGateAnswer, type AnswerFault, type GivenOutput } from '../workflows/contract/gate-rules.ts';
import type { OnTimeout } from '../workflows/contract/gate-terms.ts';
import type { Decision, TaskStatus } from '../workflows/contract/states.ts';
import { mayAnswer } from './assignments.ts';
import { countChangesOfGates } from './gate-changes.ts';
import type { Db } from './index.ts';
import { dueEntry, nextAttempt, type OutboxEntry } from './outbox.ts';
import { appendEvents, lockRun } from './progress.ts';
import { insertRunFiles, type Attachment } from './run-files.ts';
import { endRun } from './run-ends.ts';
import type { Doing } from './runs.ts';
import type { Gate, OutboxMessage } from './schema.ts';
import { listTexts } from './texts.ts';

type Answer = Doing & { run_id: string; gate_id: string; decision: Decision; output: string | null };

/** `request_id` is the same at every try of a request with an `Idempotency-Key`. `person_id` is of who asks with a key of their own. */
type AnswerOfRequest = Answer & { task_id: string; request_id: string; person_id: string | null };

/** As it was sent. Without `gate_id` it is meant for the gate that is open now. */
type AnswerToTask = Doing &
  Pick<AnswerOfRequest, 'run_id' | 'task_id' | 'request_id' | 'person_id'> & {
    account_id: string;
    gate_id?: string;
    decision?: Decision;
    output: GivenOutput;
  };

/** The gate of this id; undefined when there is none, or none any more. */
export function findGate(db: Db, gate_id: string): Promise<Gate | undefined> {
  return db.selectFrom('gates').selectAll().where('gate_id', '=', gate_id).executeTakeFirst();
}

/** Null when the answer is blank. */
function outputOf({ output }: Answer): string | null {
  return output === null || isBlank(output) ? null : output;
}

/**
 * Answers a gate once: compare-and-set on its row, the text under the gate's id, and the event, with the run locked.
 * Returns the gate as it stands: another answer, or none, when it was answered or closed before; undefined when the run is
 * purged. The task shows as running again, and the run when no other gate is open.
 */
export async function settleGate(db: Db, answer: Answer): Promise<Gate | undefined> {
  const { rows } = await sql<Gate>`select (gate).* from ${settled(answer, null)}`.execute(db);
  return rows[0];
}

function settled(answer: Answer, request_id: string | null): RawBuilder<unknown> {
  const { run_id, gate_id, decision, by, note } = answer;
  return sql`settle_gate(${run_id}, ${gate_id}, ${decision}, ${outputOf(answer)}, ${request_id},
    ${JSON.stringify(by)}::jsonb, ${note ?? null})`;
}

/**
 * Expires a gate that nobody answered in time, once: compare-and-set on its row, with the run locked, so that an answer
 * that was accepted before stands. It is told as overdue, and then as expired. With `on_timeout: cancel` the run is cancelled with
 * it, and the outbox tells its workflow. Returns the gate as it stands; undefined when the run is purged. Nothing is done, and
 * `other_terms` returned, when the terms were changed after the change of this number, for then it may not be due.
 */
export function expireGate(
  db: Db,
  { run_id, gate_id, on_timeout, terms }: { run_id: string; gate_id: string; on_timeout: OnTimeout; terms?: number },
): Promise<Gate | 'other_terms' | undefined> {
  return db.transaction().execute(async (trx) => {
    await lockRun(trx, run_id);
    if (terms !== undefined && (await countChangesOfGates(trx, run_id, terms)) > 0) return 'other_terms';
    const expired = await trx
      .updateTable('gates')
      .set({ status: 'expired' })
      .where('gate_id', '=', gate_id)
      .where('status', '=', 'open')
      .returningAll()
      .executeTakeFirst();
    if (!expired) {
      return findGate(trx, gate_id);
    }
    const data = { task_id: expired.task_id, gate_id, on_timeout };
    await appendEvents(trx, run_id, [
      // Its workflow records the same once it has heard of this, which would be told after it.
      eventOf('gate.overdue', { ...data, ...(terms && { n: terms }) }),
      { key: `expired/${gate_id}`, type: 'gate.expired', data },
    ]);
    if (on_timeout === 'cancel') {
      await endRun(trx, run_id, { status: 'cancelled', error: null });
      await appendEvents(trx, run_id, [{ key: 'cancelled', type: 'run.cancelled', data: {} }]);
      await trx
        .insertInto('outbox')
        .values(dueEntry(run_id, { kind: 'cancel' }))
        .execute();
    }
    return expired;
  });
}

/**
 * `settleGate`, and with it the outbox entry that tells the workflow, in one statement. `won` is false when another
 * was first; `entry` is undefined then, and when an older entry of the run must go before it.
 */
async function answerGate(
  db: Db,
  answer: AnswerOfRequest,
): Promise<{ won: boolean; gate: Gate; entry: OutboxEntry | undefined }> {
  const { run_id, task_id, gate_id, decision, request_id } = answer;
  const message = JSON.stringify({ kind: 'complete_task', task_id, gate_id, decision });
  const { rows } = await sql<
    Gate & { won: boolean; waits: boolean; outbox_id: string; message: OutboxMessage; said_at: string }
  >`
    with settled as materialized (
      select won, (gate).* from ${settled(answer, request_id)}
    ), entry as (
      insert into outbox (run_id, message, next_attempt_at)
      select run_id, ${message}::jsonb || jsonb_build_object('output_id', answer_id), ${nextAttempt(run_id)}
      from settled where won
      returning outbox_id, message, next_attempt_at <= now() as waits, created_at as said_at
    )
    select settled.*, entry.* from settled left join entry on true`.execute(db);
  const { won, waits, outbox_id, message: stored, said_at: created_at, ...gate } = rows[0]!;
  const entry = { outbox_id, run_id, message: stored, attempts: 0, created_at };
  return { won, gate, entry: won && !waits ? entry : undefined };
}

/** The gate that this request has answered, or undefined when it has answered none. */
export function findGateAnsweredBy(db: Db, run_id: string, request_id: string): Promise<Gate | undefined> {
  return db
    .selectFrom('gates')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('answered_by', '=', request_id)
    .executeTakeFirst();
}

export type Completion =
  | { result: 'unknown' }
  | { result: 'not_waiting'; task_status: TaskStatus; gate: Gate | undefined }
  | { result: 'unfit'; faults: AnswerFault[] }
  | { result: 'accepted'; gate: Gate; entry: OutboxEntry | undefined };

/**
 * Answers the task's open gate, in one statement that only one answer can win: gate, text, event and outbox entry. To a person
 * what they may not answer is unknown, and that is looked at again when it is answered. `takeFiles` looks at what the fields of
 * its form name, and has what comes with the answer.
 */
export async function completeTask(
  db: Db,
  answer: AnswerToTask,
  takeFiles: (inForm: FileInForm[]) => Promise<Attachment[]> = () => Promise.resolve([]),
): Promise<Completion> {
  const task = await findAnswerable(db, answer);
  if (!task || !(await isTheirs(db, answer, task.gate))) return { result: 'unknown' };
  const { task_status, has_draft, gate } = task;
  const isStale = gate && answer.gate_id !== undefined && answer.gate_id !== gate.gate_id;
  if (gate?.status !== 'open' || isStale) return { result: 'not_waiting', task_status, gate };

  const fields = await listFields(db, gate);
  const read = readGateAnswer({ kind: gate.kind, decisions: gate.decisions, has_draft, fields }, answer);
  if ('faults' in read) return { result: 'unfit', faults: read.faults };
  const files = await takeFiles(filesInForm(fields, read.output));
  const answered = await answerWithFiles(db, { ...answer, ...read, gate_id: gate.gate_id }, files);
  if (!answered) return { result: 'unknown' };
  if (!answered.won) {
    // The task as it is after what was first.
    const after = await findAnswerable(db, answer);
    return { result: 'not_waiting', task_status: after?.task_status ?? task_status, gate: answered.gate };
  }
  return { result: 'accepted', gate: answered.gate, entry: answered.entry };
}

/** Undefined when it is not for this person any more. */
function answerWithFiles(
  db: Db,
  answer: AnswerOfRequest,
  files: Attachment[],
): Promise<Awaited<ReturnType<typeof answerGate>> | undefined> {
  const { run_id, gate_id, person_id } = answer;
  if (files.length === 0 && person_id === null) return answerGate(db, answer);
  return db.transaction().execute(async (trx) => {
    if (person_id !== null) {
      // Whose a gate is changes with its run locked only.
      await lockRun(trx, run_id);
      if (!(await isTheirs(trx, answer, await findGate(trx, gate_id)))) return undefined;
    }
    const answered = await answerGate(trx, answer);
    if (answered.won) await insertRunFiles(trx, answer, files);
    return answered;
  });
}

/** Whether this gate is for who answers: open and theirs to answer, or one that was theirs, or that they have answered. */
async function isTheirs(
  db: Db,
  { person_id }: Pick<AnswerOfRequest, 'person_id'>,
  gate: Gate | undefined,
): Promise<boolean> {
  if (person_id === null) return true;
  if (!gate) return false;
  if (gate.status === 'open') return mayAnswer(db, person_id, gate.gate_id);
  return gate.person_id === person_id || (gate.by?.kind === 'person' && gate.by.id === person_id);
}

/** The files that an answer names which an operator has signalled by hand. */
export async function filesNamedAt(db: Db, gate: Gate, output: string | null): Promise<FileInForm[]> {
  return filesInForm(await listFields(db, gate), output);
}

/** What a human step has shown to be filled in; undefined of another gate. */
async function listFields(db: Db, { kind, run_id, task_id }: Gate): Promise<HumanField[] | undefined> {
  if (kind !== 'human_step') return undefined;
  const form_id = `${run_id}/${task_id}/form`;
  const form = (await listTexts(db, [form_id])).get(form_id);
  return form === undefined ? [] : (JSON.parse(form) as { fields: HumanField[] }).fields;
}

/** A task with its newest gate, open or not. Undefined when this account has none of this id. */
async function findAnswerable(
  db: Db,
  { account_id, run_id, task_id }: AnswerToTask,
): Promise<{ task_status: TaskStatus; has_draft: boolean; gate: Gate | undefined } | undefined> {
  const task = await db
    .selectFrom('tasks')
    .innerJoin('runs', 'runs.run_id', 'tasks.run_id')
    .leftJoin('gates', (join) =>
      join.onRef('gates.run_id', '=', 'tasks.run_id').onRef('gates.task_id', '=', 'tasks.id'),
    )
    .selectAll('gates')
    .select(['tasks.status as task_status', 'tasks.output_id'])
    .where('tasks.run_id', '=', run_id)
    .where('tasks.id', '=', task_id)
    .where('runs.account_id', '=', account_id)
    .orderBy('gates.opened_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (!task) return undefined;
  const { task_status, output_id, ...gate } = task;
  return { task_status, has_draft: output_id !== null, gate: gate.gate_id === null ? undefined : (gate as Gate) };
}
