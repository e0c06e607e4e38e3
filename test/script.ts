import type { FakeModel, ModelCall, Reply } from './fakes/model.ts';

/** Scripts a whole run on a fake: what is not given answers as a well-behaved model would. */
export function scriptRun(
  model: FakeModel,
  script: {
    /** Titles, or whole tasks, of the plan. */
    plan?: (string | { title: string; description?: string; agent?: string | null })[];
    /** By task id, as the model infers them. */
    dependencies?: Record<string, string[]>;
    execute?: (call: ModelCall) => Reply | undefined | Promise<Reply | undefined>;
    evaluate?: (call: ModelCall) => Reply | undefined | Promise<Reply | undefined>;
    finalize?: (call: ModelCall) => Reply | undefined | Promise<Reply | undefined>;
  } = {},
): FakeModel {
  const { plan = ['Research the market', 'Analyse the findings', 'Write the report'], dependencies = {} } = script;
  return model.on(async (call) => {
    switch (call.purpose) {
      case 'split': {
        const tasks = plan.map((task) => (typeof task === 'string' ? { title: task } : task));
        return { tasks: tasks.map((task) => ({ description: `Do this: ${task.title}.`, agent: null, ...task })) };
      }
      case 'infer':
        return {
          dependencies: Object.entries(dependencies).map(([task_id, depends_on]) => ({ task_id, depends_on })),
        };
      case 'execute':
        return (await script.execute?.(call)) ?? `Output of ${call.task_id}.`;
      case 'evaluate':
        return (await script.evaluate?.(call)) ?? { passed: true, score: 0.9, feedback: 'Good.' };
      case 'finalize':
        return (await script.finalize?.(call)) ?? 'The final output.';
    }
  });
}
