import type { Client } from '@temporalio/client';
import type { Signed } from '../../db/progress.ts';
import { openingOf, type SentAnswer } from '../../workflows/contract/gate-rules.ts';
import type { Carried, RunResult } from '../../workflows/contract/inputs.ts';
import { versionsPerWorkflowTask, type Progress, type TaskState } from '../../workflows/contract/states.ts';
import type { Steering } from '../../workflows/contract/steering.ts';
import { completeTaskSignal, steerSignal } from '../../workflows/messages.ts';
import { found, withDeadline } from './deadline.ts';
import { readPayload } from './payloads.ts';

/** What Temporal knows of a run, by the histories of its workflow: no worker is asked. */

type NamedGate = { gate_id: string; task_id: string };

/** What an execution of a workflow has said and heard. */
type Execution = {
  /** The one that has continued as this one. */
  before: string | undefined;
  carried: Carried | undefined;
  /** What its activities have written, in its order. */
  progress: Signed<Progress>[];
  /** The answers that have reached it. */
  answers: (SentAnswer & { gate_id: string })[];
  /** The tasks that an operator has answered, without saying at which gate. */
  answeredByHand: Set<string>;
  /** The number of the last steering that has reached it. */
  steered: number;
  /** The texts in Postgres that it works from, or has told of. */
  texts: Set<string>;
  final_output_id: string | null;
};

export type KnownRun = Pick<Execution, 'progress' | 'answers' | 'steered' | 'texts' | 'final_output_id'> & {
  /** Null while it goes on; `lost`: it was ended from outside. */
  end: 'completed' | 'failed' | 'cancelled' | 'lost' | null;
  /** The newest. */
  execution: string;
  /** Which try of the run it is. */
  attempt: number;
  isCancelling: boolean;
  /** Above those of all progress that it can have made. */
  versions: number;
  /** Whether an answer at this gate has reached it, or it is past it. */
  hasHeard: (gate: NamedGate) => boolean;
};

type HistoryEvent = NonNullable<
  NonNullable<Awaited<ReturnType<Client['workflowService']['getWorkflowExecutionHistory']>>['history']>['events']
>[number];

const pageSize = 500;

const ends: Record<string, KnownRun['end']> = {
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'lost',
  TIMED_OUT: 'lost',
};

/**
 * What Temporal knows of this run; undefined when it has no workflow of it. `writers` are the executions of which Postgres has
 * something: what was written by those that continued as new before them is left out.
 */
export async function findKnownRun(client: Client, run_id: string, writers: string[]): Promise<KnownRun | undefined> {
  const description = await found(withDeadline(client, () => client.workflow.getHandle(run_id).describe()));
  if (!description) return undefined;
  const { runId: execution, status, memo, historyLength, raw } = description;
  const newest = await readExecution(client, run_id, execution);
  const { carried, answers, answeredByHand, steered, texts, final_output_id } = newest;
  const progress = [newest.progress];
  for (let { before } = newest, writer = execution; before && !writers.includes(writer);) {
    // Temporal may have forgotten it.
    const earlier = await found(readExecution(client, run_id, before));
    if (!earlier) break;
    progress.unshift(earlier.progress);
    [writer, before] = [before, earlier.before];
  }
  const heard = new Set(answers.map(({ gate_id }) => gate_id));
  return {
    end: ends[status.name] ?? null,
    execution,
    attempt: Number(memo?.attempt ?? 1),
    isCancelling: Boolean(raw.workflowExtendedInfo?.cancelRequested),
    versions: (carried?.version ?? 0) + (historyLength + 1) * versionsPerWorkflowTask,
    progress: progress.flat(),
    answers,
    steered,
    texts,
    final_output_id,
    hasHeard: (gate) => heard.has(gate.gate_id) || answeredByHand.has(gate.task_id) || isPast(carried, gate),
  };
}

/** True of a gate that was over before the run continued as new, or was tried again. */
function isPast(carried: Carried | undefined, { gate_id, task_id }: NamedGate): boolean {
  if (!carried) return false;
  if (carried.answers.some(([answered]) => answered === gate_id)) return true;
  // An execution of a step that is done is never begun anew, nor is one that was answered before its run failed.
  const isDone = ({ status, output_id, gate }: TaskState) =>
    status === 'completed' || status === 'failed' || (output_id !== null && gate === null);
  if (carried.state.tasks.some((task) => task.id === task_id && task.step && isDone(task))) return true;
  const opened = new Map(carried.openings).get(task_id) ?? 0;
  const isOpen = carried.state.tasks.some(({ gate }) => gate?.status === 'open' && gate.gate_id === gate_id);
  return openingOf(gate_id) <= opened && !isOpen;
}

async function readExecution(client: Client, workflowId: string, runId: string): Promise<Execution> {
  const execution: Execution = {
    before: undefined,
    carried: undefined,
    progress: [],
    answers: [],
    answeredByHand: new Set(),
    steered: 0,
    texts: new Set(),
    final_output_id: null,
  };
  const read = createReader(client, workflowId, execution);
  let nextPageToken: Uint8Array | undefined;
  do {
    const request = {
      namespace: client.options.namespace,
      execution: { workflowId, runId },
      maximumPageSize: pageSize,
      nextPageToken,
    };
    const page = await withDeadline(client, () => client.workflowService.getWorkflowExecutionHistory(request));
    for (const event of page.history?.events ?? []) await read(event);
    ({ nextPageToken } = page);
  } while (nextPageToken?.length);
  execution.progress.sort((one, other) => one.version - other.version);
  return execution;
}

/** Returns what reads one event after another into what is known of an execution. */
function createReader(client: Client, run_id: string, execution: Execution) {
  // Until an operator resets it, this one; then the events before that are those of another.
  let writer = '';
  const riding = new Map<string, Signed<Progress>>();

  async function readPayloads(given: Parameters<typeof readPayload>[1][] | null | undefined): Promise<any[]> {
    const values: unknown[] = await Promise.all((given ?? []).map((payload) => readPayload(client, payload)));
    for (const value of values) collectTexts(run_id, value, execution.texts);
    return values;
  }

  return async function read(event: HistoryEvent): Promise<void> {
    const started = event.workflowExecutionStartedEventAttributes;
    if (started) {
      writer = started.originalExecutionRunId!;
      execution.before = started.continuedExecutionRunId || undefined;
      const [input] = await readPayloads(started.input?.payloads);
      execution.carried = input?.carried;
      execution.steered = input?.carried?.state.steered ?? 0;
    }
    const reset = event.workflowTaskFailedEventAttributes?.newRunId;
    if (reset) writer = reset;

    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) {
      const given = await readPayloads(scheduled.input?.payloads);
      // `saveProgress` takes it as its second argument.
      const progress: Progress | undefined = given[0]?.progress ?? given[1];
      if (progress) riding.set(String(event.eventId), { ...progress, writer });
      if (scheduled.activityType?.name === 'recordAnswer') execution.answers.push(given[0]);
    }
    const done = event.activityTaskCompletedEventAttributes;
    if (done) {
      await readPayloads(done.result?.payloads);
      const progress = riding.get(String(done.scheduledEventId));
      if (progress) execution.progress.push(progress);
    }
    const signal = event.workflowExecutionSignaledEventAttributes;
    if (signal) hear(execution, signal.signalName, (await readPayloads(signal.input?.payloads))[0]);

    const completed = event.workflowExecutionCompletedEventAttributes;
    if (completed) {
      const [result]: RunResult[] = await readPayloads(completed.result?.payloads);
      execution.final_output_id = result?.final_output_id ?? null;
    }
  };
}

/** What operators send by hand may be anything. */
function hear(execution: Execution, signal: string | null | undefined, sent: any): void {
  if (signal === completeTaskSignal.name) {
    if (typeof sent?.gate_id === 'string') execution.answers.push(sent as SentAnswer & { gate_id: string });
    else if (typeof sent?.task_id === 'string') execution.answeredByHand.add(sent.task_id);
  }
  const isNext = signal === steerSignal.name && (sent as Steering | undefined)?.n === execution.steered + 1;
  if (isNext) execution.steered += 1;
}

/**
 * The ids of texts begin with that of the run. Of an evaluation that was passed, the feedback is none, and of a call of a tool
 * there is none before its result. What a person answers has the id of the gate, wherever that does not name the gate itself.
 */
function collectTexts(run_id: string, value: unknown, texts: Set<string>): void {
  if (typeof value === 'string') {
    if (value.startsWith(`${run_id}/`) || value.startsWith(`${run_id.replace('run_', 'gate_')}_`)) texts.add(value);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  // Answers that were carried over stand beside their gates.
  const [name, answer] = Array.isArray(value) ? value : [];
  const isPair = typeof name === 'string' && typeof answer === 'object';
  const { gate_id: _, call_id: _call, passed, feedback_id, ...told } = value as Record<string, unknown>;
  const parts = isPair ? [answer] : [...Object.values(told), ...(passed === true ? [] : [feedback_id])];
  for (const part of parts) collectTexts(run_id, part, texts);
}
