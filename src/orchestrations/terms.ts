import type { HumanGate } from '../../db/schema.ts';
import type { Definition, StepOf } from '../../workflows/contract/definition.ts';
import { gateTerms, type GateTerms } from '../../workflows/contract/gate-terms.ts';
import type { GateWithTerms } from '../runs/gate-terms.ts';

/** How long the human steps of an orchestration wait for people. */

/** The human steps that have terms of their own, and where they stand in the definition. */
export function stepsWithTerms({ steps }: Definition): (GateWithTerms & { step_id: string })[] {
  return steps.flatMap((step, index) => {
    const own = step.type === 'human' ? ownTerms(step) : {};
    return Object.keys(own).length > 0 ? [{ step_id: step.id, at: ['steps', index], own }] : [];
  });
}

/** The same as `human_gates` of a run. */
export function gatesOf(definition: Definition): HumanGate[] {
  return stepsWithTerms(definition).map(({ step_id, own }) => ({ name: step_id, ...own }));
}

/** What a step says of the terms of its gate. */
export function ownTerms(step: StepOf<'human'>): Partial<GateTerms> {
  return Object.fromEntries(gateTerms.flatMap((name) => (step[name] === undefined ? [] : [[name, step[name]]])));
}
