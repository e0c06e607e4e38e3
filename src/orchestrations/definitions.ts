import type { Definition } from '../../workflows/contract/definition.ts';
import { sha256 } from '../crypto.ts';
import { definitionSchema } from './definition-schema.ts';
import { examples } from './examples.ts';

/** The definition without the fields that are ours to say, and the id that it was given. */
export function toDefinition(given: Definition & { id?: string }): {
  id?: string;
  definition: Definition;
} {
  const { id, name, description, entry_step_id, steps, state_schema } = given;
  const { max_total_turns, max_total_cost_usd, timeout_minutes } = given;
  const limits = { max_total_turns, max_total_cost_usd, timeout_minutes };
  return { id, definition: { name, description, entry_step_id, steps, state_schema, ...limits } };
}

/** A definition is known by its content. */
export function hashOf(definition: Definition): string {
  return sha256(JSON.stringify(definition));
}

/** Every account sees these, and none can change them. */
export const shippedOrchestrations = examples.map((example) => {
  const { definition } = toDefinition(definitionSchema.parse(example));
  return { id: example.id, hash: hashOf(definition), definition };
});

export function isShipped(id: string): boolean {
  return shippedOrchestrations.some((shipped) => shipped.id === id);
}
