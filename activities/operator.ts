import type { Actor } from '../db/schema.ts';

/** Who has signalled or cancelled in Temporal by hand, by the identity there. */
export function operatorOf(id: string | undefined): Actor {
  return { kind: 'operator', id: id?.slice(0, 200).toWellFormed() ?? null, name: null, on_behalf_of: null };
}
