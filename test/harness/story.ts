import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, type Orchflow, type User } from './orchflow.ts';
import { endProcesses, startWorkerHere, startWorkerProcess } from './processes.ts';
import { replayHistories } from './replay.ts';
import { scriptRun, type Script } from './script.ts';

export const goal = 'Bring our note-taking app to market.';

/** What waits, answers in both: the limits of the one take time of a request too. */
export const modes: [mode: string, environment: Record<string, string>][] = [
  ['self-hosted', {}],
  ['hosted', { ORCHFLOW_MODE: 'hosted', RATE_LIMIT_PER_MINUTE: '1000', REGISTER_LIMIT_PER_HOUR: '1000' }],
];

/**
 * What a test file of run stories stands on: one Orchflow for the file, and a new user with a fake model for each test.
 * Without a worker, tests start theirs, which end with the test. At the end every run of the file is replayed.
 */
export function useStory(
  environment: Record<string, string> | (() => Promise<Record<string, string>>) = {},
  { worker = true }: { worker?: boolean } = {},
) {
  const story = {} as { orchflow: Orchflow; user: User; model: FakeModel; provider_id: string };
  beforeAll(async () => {
    const own = typeof environment === 'function' ? await environment() : environment;
    story.orchflow = await startOrchflow({ environment: own, worker });
  });
  afterAll(() => replayHistories(story.orchflow).finally(() => story.orchflow.stop()));

  beforeEach(async () => {
    [story.user, story.model] = await Promise.all([story.orchflow.register(), startFakeModel()]);
    story.provider_id = await story.user.addProvider(story.model);
  });
  afterEach(() => endProcesses(story.model));

  return Object.assign(story, {
    /** Scripts the fake and starts a run on it. */
    start(script: Script, run: { task?: string; [field: string]: unknown } = {}) {
      scriptRun(story.model, script);
      return story.user.startRun({ task: goal, provider_id: story.provider_id, ...run });
    },
    startWorkerProcess: () => startWorkerProcess(story.orchflow.env),
    startWorkerHere: () => startWorkerHere(story.orchflow.env),
    /** The prompts of a task's executions, in the order of its attempts. */
    prompts: (task_id: string) =>
      story.model
        .callsFor('execute')
        .filter((call) => call.task_id === task_id)
        .map(({ prompt }) => prompt),
  });
}
