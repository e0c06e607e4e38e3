import { ActivityFailure, proxyActivities, TimeoutFailure, workflowInfo } from '@temporalio/workflow';
import type { CodeActivities } from '../activities/index.ts';
import type { Progress, TaskState, ToolRequest } from './contract/states.ts';
import { endedInPostgres } from './projection.ts';
import { runWithProgress } from './rides.ts';
import type { RunContext } from './run-context.ts';

/** What only workers do that have a sandbox: they poll a task queue of their own. */

/** For so long code waits for a worker before it is asked whether there is any. */
const patience = '5s';
/** Beside its own time, for its bundle, its files and what it leaves. */
const allowance_seconds = 300;

function codeActivities(seconds: number) {
  return proxyActivities<CodeActivities>({
    taskQueue: `${workflowInfo().taskQueue}-code`,
    scheduleToStartTimeout: patience,
    startToCloseTimeout: (seconds + allowance_seconds) * 1_000,
    heartbeatTimeout: '6s',
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s', maximumAttempts: 2_880 },
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  });
}

/** Runs the code of an agent. Where no worker takes it, `findOut` says that there is one all the same, or throws. */
export async function runCode(
  run: RunContext,
  { id: task_id, attempts: attempt }: TaskState,
  { completes, seconds, findOut }: { completes: boolean; seconds: number; findOut: () => Promise<void> },
) {
  const { run_id } = run.state;
  const call = async (progress: Progress | undefined) => {
    const summary = `${task_id}: run the code${attempt > 1 ? `, attempt ${attempt}` : ''}`;
    const input = { run_id, task_id, attempt, completes, progress };
    const { status, ...turn } = await codeActivities(seconds).runCode.executeWithOptions({ summary }, [input]);
    if (status) endedInPostgres(run, status);
    return turn;
  };
  for (;;) {
    try {
      return await runWithProgress(run, call, { endsRun: completes });
    } catch (error) {
      if (!wasNotTaken(error)) throw error;
      await findOut();
    }
  }
}

/** A call of a tool that needs the sandbox; undefined when no worker has taken it. */
export async function callCodeTool(
  run: RunContext,
  { answer_id, position }: Pick<ToolRequest, 'answer_id' | 'position'>,
  { summary, ruling }: { summary: string; ruling: object },
) {
  const { run_id } = run.state;
  try {
    return await runWithProgress(run, (progress) =>
      codeActivities(60).callTool.executeWithOptions({ summary }, [
        { run_id, answer_id, position, ...ruling, progress },
      ]),
    );
  } catch (error) {
    if (wasNotTaken(error)) return undefined;
    throw error;
  }
}

function wasNotTaken(error: unknown): boolean {
  const cause = error instanceof ActivityFailure ? error.cause : undefined;
  return cause instanceof TimeoutFailure && cause.timeoutType === 'SCHEDULE_TO_START';
}
