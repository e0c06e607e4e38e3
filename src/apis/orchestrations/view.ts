import { innerSteps, nextSteps } from '../../../workflows/contract/definition.ts';
import type { Orchestration } from '../../orchestrations/find.ts';

/** An orchestration as readers see it: its definition, and its steps as a graph. */
export function toWire({ id, hash, definition, created_at, updated_at }: Orchestration) {
  const edges = definition.steps.flatMap((step) =>
    [...innerSteps(step), ...nextSteps(step)].map(({ path, step_id }) => ({
      from: step.id,
      to: step_id,
      via: path.join('.'),
    })),
  );
  const steps = definition.steps.map((step) => ({
    ...step,
    label: step.name,
    agent_id: 'agent_id' in step ? step.agent_id : null,
    depends_on: [...new Set(edges.filter(({ to }) => to === step.id).map(({ from }) => from))],
  }));
  return {
    id,
    ...definition,
    steps,
    edges,
    hash,
    is_shipped: created_at === undefined,
    created_at: created_at ?? null,
    updated_at: updated_at ?? null,
  };
}
