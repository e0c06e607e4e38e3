import { expect } from 'vitest';
import type { FakeModel } from '../fakes/model.ts';
import type { Answer, User } from './orchflow.ts';

/** Reruns of orchestrations, of the user of a story, and steps to rerun. */
export function useReruns(story: { user: User }) {
  const look = ({ body }: Answer) => story.user.get(`/orchestrations/runs/${body.run_id}`);
  return {
    rerun: ({ body }: Answer, from_task: string, more: object = {}) =>
      story.user.post(`/runs/${body.run_id}/rerun`, { from_task, ...more }),
    look,
    /** What a rerun, as it was accepted, has come to as soon as it has completed. */
    completed: async (started: Answer) => {
      expect(started, JSON.stringify(started.body)).toMatchObject({ status: 201, body: { status: 'pending' } });
      await story.user.openRun(started.body.run_id).until('completed');
      return (await look(started)).body;
    },
  };
}

export const llm = (id: string, more = {}) => ({ id, type: 'llm', output_key: id, ...more });
export const say = (id: string, print_content: string, more = {}) => ({
  id,
  type: 'print',
  print_content,
  output_key: id,
  ...more,
});
export const ask = (id: string, more = {}) => ({ id, type: 'human', output_key: id, ...more });

/** Has a model say who was asked, and forget what it was asked before. */
export function script(model: FakeModel): void {
  model.calls.length = 0;
  model.on(({ task_id }) => `Output of ${task_id}.`);
}

/** The tasks for which it was asked. */
export const asked = ({ calls }: FakeModel) => calls.map(({ task_id }) => task_id);

/** The status of each step, and how many model calls it took in this run. */
export const statuses = ({ step_history }: any) =>
  Object.fromEntries(step_history.map(({ task_id, status, turns }: any) => [task_id, [status, turns]]));
