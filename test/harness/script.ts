import type { FakeModel, ModelCall, Reply } from '../fakes/model.ts';

type PlanTask = {
  title: string;
  description?: string;
  agent?: string | null;
  human_steps?: unknown;
  waits_for?: unknown;
  skills?: unknown;
};

type Answer = (call: ModelCall) => Reply | undefined | Promise<Reply | undefined>;

export type Script = {
  /** Titles, or whole tasks, of the plan. */
  plan?: (string | PlanTask)[];
  /** By task id, as the model infers them. */
  dependencies?: Record<string, string[]>;
  split?: Answer;
  infer?: Answer;
  execute?: Answer;
  evaluate?: Answer;
  finalize?: Answer;
  route?: Answer;
};

/** Scripts a whole run on a fake: what is not given answers as a well-behaved model would. */
export function scriptRun(model: FakeModel, script: Script = {}): FakeModel {
  const { plan = ['Research the market', 'Analyse the findings', 'Write the report'], dependencies = {} } = script;
  return model.on(async (call) => {
    switch (call.purpose) {
      case 'split':
        return (await script.split?.(call)) ?? planAnswer(plan);
      case 'infer':
        return (await script.infer?.(call)) ?? dependenciesAnswer(dependencies);
      case 'execute':
        return (await script.execute?.(call)) ?? `Output of ${call.task_id}.`;
      case 'evaluate':
        return (await script.evaluate?.(call)) ?? { passed: true, score: 0.9, feedback: 'Good.' };
      case 'route':
        return script.route?.(call);
      case 'finalize':
        return (await script.finalize?.(call)) ?? 'The final output.';
    }
  });
}

function planAnswer(plan: NonNullable<Script['plan']>): Reply {
  const tasks = plan.map((task) => (typeof task === 'string' ? { title: task } : task));
  return { tasks: tasks.map((task) => ({ description: `Do this: ${task.title}.`, agent: null, ...task })) };
}

function dependenciesAnswer(dependencies: NonNullable<Script['dependencies']>): Reply {
  return { dependencies: Object.entries(dependencies).map(([task_id, depends_on]) => ({ task_id, depends_on })) };
}

/** Answers with the first, then the second, …, and as scripted otherwise when all are used. */
export function inTurn(...replies: Reply[]): () => Reply | undefined {
  const left = [...replies];
  return () => left.shift();
}
