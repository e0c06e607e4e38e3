import type { Db } from '../../db/index.ts';
import { findSchemaOfOutput } from '../../db/agents.ts';
import type { GivenOutput } from '../../workflows/contract/gate-rules.ts';
import { checkerOf, inWords } from '../agents/schema-check.ts';
import { requireNone, type FieldFault } from '../errors.ts';

/**
 * Where an agent that runs alone has an output schema, what a person writes in place of its output fits that too. Throws
 * `InvalidInputError` at `output`. What operators signal is not looked at.
 */
export async function checkEdit(
  db: Db,
  account_id: string,
  { run_id, task_id, output }: { run_id: string; task_id: string; output: GivenOutput },
): Promise<void> {
  const schema = typeof output === 'string' ? await findSchemaOfOutput(db, account_id, run_id, task_id) : undefined;
  if (!schema) return;
  requireNone(editFaults(output as string, schema));
}

function editFaults(output: string, schema: Record<string, unknown>): FieldFault[] {
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    return [{ path: ['output'], detail: 'must be JSON that fits the output schema of the agent' }];
  }
  const [fault] = checkerOf(schema)(value);
  if (!fault) return [];
  return [{ path: ['output'], detail: `does not fit the output schema of the agent: ${inWords(fault)}` }];
}
