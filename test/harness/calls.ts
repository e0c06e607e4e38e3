import { sql } from 'kysely';
import type { AgentSpec, PackageSpec } from '../../db/schema.ts';
import { unsaidPackage } from '../../src/agents/packages.ts';
import { registerAgent } from './agent.ts';
import type { Answer, Orchflow, User } from './orchflow.ts';
import { send } from './raw.ts';

/** A client of orchagent's API, and agents as they are published. */

type Offered = {
  is_public?: boolean;
  callable?: boolean;
  price_cents?: number;
  type?: string;
  /** How many days ago. */
  deprecated?: number;
  package?: Partial<PackageSpec>;
};

/** Publishes an agent of a user, whose organisation gets this slug. Returns its id. */
export async function publish(
  { db }: Orchflow,
  user: User,
  org: string,
  { name, ...spec }: { name: string } & Partial<AgentSpec>,
  { package: packed = {}, deprecated, ...offered }: Offered = {},
): Promise<string> {
  const agent_id = await registerAgent(user, { name, ...spec });
  await sql`update accounts set slug = ${org} where email = ${user.email}`.execute(db);
  const more = JSON.stringify({ package: { ...unsaidPackage, ...packed } });
  await sql`update agent_versions set spec = (spec::jsonb || ${more}::jsonb)::json where agent_id = ${agent_id}`.execute(
    db,
  );
  for (const [column, value] of Object.entries(offered))
    await sql`update agent_versions set ${sql.ref(column)} = ${value} where agent_id = ${agent_id}`.execute(db);
  if (deprecated !== undefined)
    await sql`update agent_versions set deprecated_at = now() - make_interval(days => ${deprecated}) where agent_id = ${agent_id}`.execute(
      db,
    );
  return agent_id;
}

/** Calls agents with a user's key. */
export function createCaller(url: string, { api_key }: Pick<User, 'api_key'>) {
  const authorization = { authorization: `Bearer ${api_key}` };

  function post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const isForm = body instanceof FormData || typeof body === 'string';
    const type = body !== undefined && !isForm && { 'content-type': 'application/json' };
    const sent = body === undefined || isForm ? body : JSON.stringify(body);
    return send(url, 'POST', path, { ...authorization, ...type, ...headers }, sent as string | FormData | undefined);
  }

  return {
    post,
    /** Without reading the answer: for streams, and clients that hang up. */
    open: (
      path: string,
      body: unknown,
      { headers = {}, signal }: { headers?: Record<string, string>; signal?: AbortSignal } = {},
    ) =>
      fetch(url + path, {
        method: 'POST',
        headers: { ...authorization, 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
        ...(signal && { signal }),
      }),
  };
}
