import { expect } from 'vitest';
import type { RunView } from '../../db/run-views.ts';
import type { TestRun } from './orchflow.ts';
import { useStory } from './story.ts';

export const plan = ['Research the market', 'Analyse the findings', 'Draw the logo', 'Write the report'];
export const dependencies = { T2: ['T1'], T3: [], T4: ['T2'] };

export const statesOf = ({ tasks }: RunView) => tasks.map(({ id, status }) => `${id} ${status}`);
export const outputsOf = ({ tasks }: RunView) => tasks.map(({ output }) => output);

type AuditEvent = { type: string; data: Record<string, any>; texts: Record<string, string> };

/** `useStory` for what people do to the tasks of a run: the graph is T1 -> T2 -> T4, with T3 beside. */
export function useSteering(environment: Record<string, string> = {}) {
  const story = useStory(environment);
  const callsOf = (task_id: string) => story.prompts(task_id).length;
  /** Counts its attempts. */
  const execute = ({ task_id }: { task_id?: string }) => `${task_id}, written ${callsOf(task_id!)}.`;

  return Object.assign(story, {
    callsOf,
    execute,
    steer: ({ run_id }: TestRun, task_id: string, action: string, body?: object) =>
      story.user.post(`/runs/${run_id}/tasks/${task_id}/${action}`, body),

    async eventsOf({ run_id }: TestRun): Promise<AuditEvent[]> {
      return (await story.user.get(`/runs/${run_id}/audit`)).body.events;
    },

    /** A run that waits at the approval of its last task; the others are done. */
    async startWaiting(): Promise<TestRun> {
      const run = await story.start({ plan, dependencies, execute }, { require_approval: true });
      for (const id of ['T1', 'T3', 'T2']) {
        await run.untilWaiting(id);
        await run.complete(id, { decision: 'approve' });
      }
      await run.untilWaiting('T4');
      // T4 is not after T3, which may be told as done later.
      await run.until(({ tasks }) => tasks.filter(({ status }) => status === 'completed').length === 3);
      return run;
    },

    async approveRest(run: TestRun, ...ids: string[]): Promise<RunView> {
      for (const id of ids) {
        await run.untilWaiting(id);
        expect((await run.complete(id, { decision: 'approve' })).status).toBe(200);
      }
      return run.until('completed');
    },
  });
}
