import {
  CancellationScope,
  condition,
  proxyLocalActivities,
  setCurrentDetails,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { Activities } from '../activities/index.ts';
import { describeRun } from './details.ts';
import { othersAreDone } from './history.ts';
import { isBudgetTask } from './contract/plan.ts';
import type { GateState, Progress, RunEvent, RunState, RunStatus, TaskState } from './contract/states.ts';

const { saveProgress } = proxyLocalActivities<Activities>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '200ms', maximumInterval: '20s' },
});

const statusAttribute = defineSearchAttributeKey('OrchflowStatus', 'KEYWORD');
const waitingAttribute = defineSearchAttributeKey('OrchflowWaitingTasks', 'KEYWORD_LIST');

const maxWarnings = 50;

/**
 * A workflow task that is lost with its worker has written to Postgres all the same, and when it is made again more may
 * have happened than at the first time. What it writes then must count as newer: the history is longer by then.
 */
const versionsPerWorkflowTask = 1_000;

/** By what it says, and not by its number, for the same reason. */
function eventKey(
  type: string,
  { task_id, attempt, turn, call_id, gate_id, phase, warning, reminder, n }: Record<string, unknown>,
): string {
  return [type, task_id, attempt, turn, call_id, gate_id, phase, warning, reminder, n]
    .filter((part) => part !== undefined)
    .map(String)
    .join('/');
}

export type ProgressTracker = ReturnType<typeof trackProgress>;

/**
 * The state of a run, and its way to Postgres. Every change goes through here; what has changed rides along with the
 * next activity (`carry`), and what finds no ride by the end of a workflow task is written by itself.
 */
export function trackProgress(run_id: string, carried?: { state: RunState; version: number }) {
  const state: RunState = carried?.state ?? {
    run_id,
    status: 'running',
    phase: 'queued',
    tasks: [],
    warnings: [],
    error: null,
    final_output_id: null,
  };
  let version = carried?.version ?? 0;
  const versionsBefore = version;
  let underway = 0;
  let runChanged = false;
  let changedTasks = new Set<TaskState>();
  let changedGates = new Set<GateState>();
  /** Not known to be in Postgres yet. Every write carries all of them, so that they arrive in their order. */
  let unsavedEvents: RunEvent[] = [];
  let lastLocalActivity: Promise<unknown> = Promise.resolve();
  let saving: Promise<RunStatus> = Promise.resolve('running');
  let ended: RunStatus | undefined;
  let shown: { status: RunStatus; waiting: string } = { status: 'pending', waiting: '' };
  /** What is written is written also when the run is cancelled. */
  const regardless = new CancellationScope({ cancellable: false });

  function waitingTasks(): string[] {
    return state.tasks.filter((task) => task.status === 'waiting_human').map((task) => task.id);
  }

  function record(type: string, data: Record<string, unknown> = {}): void {
    runChanged = true;
    unsavedEvents.push({ key: eventKey(type, data), type, data });
  }

  function changeRun(change: Partial<Omit<RunState, 'run_id' | 'tasks'>>): void {
    Object.assign(state, change);
    runChanged = true;
  }

  function changeTask(task: TaskState, change: Partial<TaskState>): void {
    Object.assign(task, change);
    changedTasks.add(task);
    if (task.gate) changedGates.add(task.gate);
    if (state.status === 'running' || state.status === 'waiting_human') {
      changeRun({ status: waitingTasks().length > 0 ? 'waiting_human' : 'running' });
    }
  }

  /** Each warning once, and the first 50: a run may live for weeks. */
  function warn(text: string): void {
    if (state.warnings.length >= maxWarnings || state.warnings.includes(text)) return;
    changeRun({ warnings: [...state.warnings, text] });
    record('run.warning', { warning: text });
  }

  function showToOperators(): void {
    setCurrentDetails(describeRun(state));
    const waiting = waitingTasks();
    if (shown.status === state.status && shown.waiting === waiting.join()) return;
    shown = { status: state.status, waiting: waiting.join() };
    upsertSearchAttributes([
      { key: statusAttribute, value: state.status },
      { key: waitingAttribute, value: waiting },
    ]);
  }

  function take(): Progress | undefined {
    if (!runChanged) return undefined;
    showToOperators();
    version = Math.max(version + 1, lowestVersion());
    const { status, phase, warnings, error, final_output_id, shared_state } = state;
    const cargo: Progress = {
      version,
      at: Date.now(),
      run: { status, phase, warnings, error, final_output_id, shared_state },
      tasks: [...changedTasks].map(({ gate: _gate, ...task }) => ({
        ...task,
        position: positionOf(task),
      })),
      gates: [...changedGates].map((gate) => ({ ...gate })),
      events: [...unsavedEvents],
    };
    runChanged = false;
    changedTasks = new Set();
    changedGates = new Set();
    return cargo;
  }

  /** What is asked of the budget comes last, also when it comes before the plan. */
  function positionOf(task: Pick<TaskState, 'id'>): number {
    const index = state.tasks.findIndex(({ id }) => id === task.id);
    return isBudgetTask(task) ? 1_000 + index : index;
  }

  function lowestVersion(): number {
    return versionsBefore + workflowInfo().historyLength * versionsPerWorkflowTask;
  }

  function markSaved(cargo: Progress): void {
    unsavedEvents = unsavedEvents.filter((event) => !cargo.events.includes(event));
  }

  /** The ride may have ended before it wrote its cargo: it is written again, which changes nothing if it had. */
  function giveBack(cargo: Progress): void {
    runChanged = true;
    for (const task of state.tasks) {
      if (cargo.tasks.some(({ id }) => id === task.id)) changedTasks.add(task);
      if (task.gate && cargo.gates.some(({ gate_id }) => gate_id === task.gate?.gate_id)) changedGates.add(task.gate);
    }
  }

  /** Runs an activity that writes the changes so far before it does its work. */
  async function carry<T>(activity: (progress: Progress | undefined) => Promise<T>): Promise<T> {
    const cargo = take();
    underway += 1;
    try {
      const result = await activity(cargo);
      if (cargo) markSaved(cargo);
      return result;
    } catch (error) {
      if (cargo) giveBack(cargo);
      throw error;
    } finally {
      underway -= 1;
    }
  }

  /**
   * Runs local activities one after another. The SDK replays the results of several under way in other batches than
   * they came in, and what a run does next may depend on the batch. The same goes for one that outlasts its workflow
   * task: so each result has its effect after all that comes with it.
   */
  function oneByOne<T>(localActivity: () => Promise<T>): Promise<T> {
    underway += 1;
    const result = lastLocalActivity.then(async () => {
      try {
        return await localActivity();
      } finally {
        await regardless.run(othersAreDone);
        underway -= 1;
      }
    });
    lastLocalActivity = result.catch(() => {});
    return result;
  }

  /**
   * Resolves when all changes so far are in Postgres, with the run's status there: a cancellation that reached
   * Postgres before this write stands against it.
   */
  function saved(): Promise<RunStatus> {
    const cargo = take();
    if (ended) {
      unsavedEvents = [];
      return Promise.resolve(ended);
    }
    if (cargo) {
      const write = () => saveProgress.executeWithOptions({ summary: summaryOf(cargo) }, [run_id, cargo]);
      saving = oneByOne(() => regardless.run(write)).then(({ status }) => {
        markSaved(cargo);
        return status;
      });
    }
    return saving;
  }

  /** An activity has completed the run in Postgres. With the status that stands, there is nothing more to write. */
  function endSaved(status: RunStatus): void {
    ended = status;
  }

  function complete(task: TaskState, output_id: string | null): void {
    changeTask(task, { status: 'completed', output_id, error: null });
    record('task.completed', { task_id: task.id, output_id });
  }

  /** True when no activity is under way and all changes are in Postgres. */
  function isAtRest(): boolean {
    return underway === 0 && !runChanged && unsavedEvents.length === 0;
  }

  /** Newer versions than any that was written, also by a workflow task that was lost. */
  function nextVersion(): number {
    return Math.max(version, lowestVersion()) + versionsPerWorkflowTask;
  }

  if (carried) showToOperators();
  void regardless.run(async () => {
    for (;;) {
      await condition(() => runChanged);
      await saved();
    }
  });

  return {
    state,
    record,
    changeRun,
    changeTask,
    complete,
    warn,
    carry,
    saved,
    endSaved,
    oneByOne,
    isAtRest,
    nextVersion,
  };
}

/** "T1: gate.opened", for the Temporal Web UI. */
function summaryOf({ run, events }: Progress): string {
  const last = events.at(-1);
  if (!last) return `run.${run.status}`;
  const { task_id } = last.data;
  return typeof task_id === 'string' ? `${task_id}: ${last.type}` : last.type;
}
