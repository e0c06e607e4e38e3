import {
  deleteOrchestration,
  findOrchestration,
  insertOrchestration,
  updateOrchestration,
  type StoredOrchestration,
} from '../../db/orchestrations.ts';
import type { Definition } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import type { ModelDeps } from '../agents/models.ts';
import { DomainError, InvalidInputError, notFound, requireNone, type FieldFault } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import { checkTools } from './check-tools.ts';
import { hashOf, isShipped } from './definitions.ts';
import { definitionFaults } from './faults.ts';
import { agentsOfSteps } from './step-agents.ts';

/** The orchestrations that an account keeps, whichever surface calls them how. */

/** All that is wrong with a definition, and with the tools and the registered agents that it names. */
export async function faultsOf(deps: ModelDeps, principal: Principal, definition: Definition): Promise<FieldFault[]> {
  try {
    await requireSound(deps, principal, definition);
    return [];
  } catch (error) {
    const isOfDefinition = error instanceof InvalidInputError || error instanceof DomainError;
    if (isOfDefinition && error.faults.length > 0) return error.faults;
    throw error;
  }
}

/**
 * Throws `InvalidInputError` for what is wrong with a definition, and the tools that it names, and `NOT_FOUND` for registered
 * agents that the account does not have.
 */
async function requireSound(deps: ModelDeps, principal: Principal, definition: Definition): Promise<void> {
  requireNone(await definitionFaults(principal.account_id, definition));
  await checkTools(deps, principal, definition);
  await agentsOfSteps(deps.db, principal, definition);
}

/** An orchestration of the account itself. Throws `NOT_FOUND`. */
export async function getOwnOrchestration(
  { db }: Pick<ModelDeps, 'db'>,
  { account_id }: Principal,
  id: string,
): Promise<StoredOrchestration> {
  const found = await findOrchestration(db, account_id, id);
  if (!found) throw notFound('Orchestration');
  return found;
}

/**
 * Keeps an orchestration, under an id that is made up unless given. A retry of the request finds what its first try made. Throws
 * what `requireSound` throws, `ORCHESTRATION_EXISTS`, and `LimitReached` when the account has `most`.
 */
export async function createOrchestration(
  deps: ModelDeps,
  principal: Principal,
  { id: given, definition }: { id?: string; definition: Definition },
  most: number,
  idempotency: IdSeed | undefined,
): Promise<StoredOrchestration> {
  const { account_id } = principal;
  const id = given ?? newId('orchestration', idempotency);
  const hash = hashOf(definition);
  const find = () => findOrchestration(deps.db, account_id, id);
  const findMade = async () => {
    const found = idempotency?.isRetry ? await find() : undefined;
    return found?.hash === hash ? found : undefined;
  };
  // What it names may be gone by now.
  const made = await findMade();
  if (made) return made;
  await requireSound(deps, principal, definition);
  const isNew = !isShipped(id) && (await insertOrchestration(deps.db, { account_id, id, hash, definition }, most));
  const stored = isNew ? await find() : await findMade();
  if (stored) return stored;
  const message = `There is an orchestration "${id}".`;
  throw new DomainError('ORCHESTRATION_EXISTS', message, { way_out: 'replace_orchestration' });
}

/**
 * Replaces the definition; runs under way keep theirs. Throws `ORCHESTRATION_SHIPPED`, `NOT_FOUND`, `InvalidInputError` for a
 * definition that has another id, and what `requireSound` throws.
 */
export async function replaceOrchestration(
  deps: ModelDeps,
  principal: Principal,
  id: string,
  { id: given, definition }: { id?: string; definition: Definition },
): Promise<StoredOrchestration> {
  const { account_id } = principal;
  refuseShipped(id);
  if (given !== undefined && given !== id) throw new InvalidInputError([{ path: ['id'], detail: `is not "${id}"` }]);
  await requireSound(deps, principal, definition);
  const isThere = await updateOrchestration(deps.db, { account_id, id, hash: hashOf(definition), definition });
  if (!isThere) throw notFound('Orchestration');
  return getOwnOrchestration(deps, principal, id);
}

const mostTries = 5;

/**
 * Changes parts of a definition; what is not given stays, and so does what others change meanwhile. `check` is shown each
 * version that it would be a change of, and refuses by what it throws. Throws `NOT_FOUND`, what `requireSound` throws, and
 * `PRECONDITION_FAILED` when others change it faster than that is looked at.
 */
export async function changeOrchestration(
  deps: ModelDeps,
  principal: Principal,
  id: string,
  change: Partial<Definition>,
  check: (before: StoredOrchestration) => void,
): Promise<StoredOrchestration> {
  const { account_id } = principal;
  for (let attempt = 1; attempt <= mostTries; attempt += 1) {
    const before = await getOwnOrchestration(deps, principal, id);
    check(before);
    const definition = { ...before.definition, ...change };
    const hash = hashOf(definition);
    if (hash === before.hash) return before;
    await requireSound(deps, principal, definition);
    const changed = { account_id, id, hash, definition };
    if (await updateOrchestration(deps.db, changed, before.hash)) return getOwnOrchestration(deps, principal, id);
  }
  throw new DomainError('PRECONDITION_FAILED', 'Others change it at this moment. Try again.');
}

/** Deletes an orchestration. Its runs go on, and can be read. Throws `ORCHESTRATION_SHIPPED` and `NOT_FOUND`. */
export async function removeOrchestration(
  { db }: Pick<ModelDeps, 'db'>,
  { account_id }: Principal,
  id: string,
): Promise<void> {
  refuseShipped(id);
  if (!(await deleteOrchestration(db, account_id, id))) throw notFound('Orchestration');
}

function refuseShipped(id: string): void {
  if (!isShipped(id)) return;
  throw new DomainError('ORCHESTRATION_SHIPPED', `"${id}" comes with Orchflow.`, { way_out: 'create_orchestration' });
}
