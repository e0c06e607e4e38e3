import type { FakeModel, ModelCall } from '../fakes/model.ts';

/** Which steps of its runs the model was asked for, and how often: for tests in which things end in the middle. */

const stepOf = ({ run_marker, purpose, task_id }: ModelCall) =>
  [run_marker, purpose, task_id].filter((part) => part !== undefined).join(' ');

/** True for the first call for a step, and only for that. */
export function isFirst(model: FakeModel, call: ModelCall): boolean {
  return model.calls.find((other) => stepOf(other) === stepOf(call)) === call;
}

/** The steps that the model was asked for more than once, such as `execute T1`. */
export function askedAgain(model: FakeModel): string[] {
  return model.calls.filter((call) => !isFirst(model, call)).map(stepOf);
}
