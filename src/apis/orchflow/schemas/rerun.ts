import { json, line, members, requestObject, text } from '../../../fields.ts';
import { maxStateValues } from '../../../orchestrations/initial-state-schema.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { startTimeShape } from '../../../runs/start-time-schema.ts';

export const rerunSchema = requestObject({
  from_task: line(64).meta({
    description: 'Done again, with every task after it. Of an orchestration: an execution of a step, as `draft.2`.',
    example: 'T2',
  }),
  // What the values may be is the matter of the kind of the run.
  edits: members(text(1, 64), json(), maxStateValues)
    .default({})
    .meta({
      description:
        'Of a run of a goal: texts in place of outputs that stand, by task. Of an orchestration: values of any kind that the ' +
        'state has when the step begins, by key, `user_input` (the message) among them; as many and as long as those of ' +
        '`initial_state`.',
      example: { T1: 'Dry and friendly.' },
    }),
  provider_id: line(64).optional().meta({ description: "The source's unless given." }),
  ...startTimeShape,
  ...remarkShape,
}).meta({ id: 'Rerun' });

/** What `edits` of a run of a goal are. */
export const outputEdits = members(text(1, 64), text(1, 100_000), maxStateValues);
