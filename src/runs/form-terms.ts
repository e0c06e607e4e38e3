import type { Definition, StepOf } from '../../workflows/contract/definition.ts';
import type { OnTimeout } from '../../workflows/contract/gate-terms.ts';
import type { FieldFault } from '../errors.ts';

/** What the terms of a run mean for the forms of an orchestration. */

/** What is required of a form, in words: nothing can be approved in its place. */
export function requiredFields({ human_fields }: StepOf<'human'>): string {
  return human_fields.flatMap(({ name, required }) => (required ? [`"${name}"`] : [])).join(', ');
}

/** What is wrong with the `on_timeout` of a run, for the steps that have none of their own. */
export function onTimeoutFaults({ steps }: Definition, on_timeout: OnTimeout): FieldFault[] {
  if (on_timeout !== 'approve') return [];
  const step = steps.find(
    (human): human is StepOf<'human'> =>
      human.type === 'human' &&
      !human.on_timeout &&
      human.human_timeout_seconds === null &&
      requiredFields(human) !== '',
  );
  if (!step) return [];
  const detail =
    `"approve" leaves the form of step "${step.id}" empty, which requires ${requiredFields(step)}: ` +
    'choose another, or give the step an `on_timeout` of its own';
  return [{ path: ['on_timeout'], detail }];
}
