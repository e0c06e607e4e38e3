import type { Db } from '../../db/index.ts';
import { uuidOf } from '../../src/ids.ts';

/** What a tenant could know of another only if something told it: here it simply reads it, past the API. */

/** Of a run of another account. */
export type Others = {
  run_id: string;
  task_id: string;
  gate_id: string;
  provider_id: string;
  key_id: string;
  delivery_id: string;
  subscription_id: string;
  orchestration_id: string;
  agent_id: string;
  person_id: string;
};

export type Spy = ReturnType<typeof createSpy>;

export function createSpy(db: Db, account_id: string) {
  /** Any run of another account, if possible with an open gate. Undefined while there is none, or no database. */
  async function others(): Promise<Others | undefined> {
    const run = await db
      .selectFrom('runs')
      .leftJoin('gates', (join) => join.onRef('gates.run_id', '=', 'runs.run_id').on('gates.status', '=', 'open'))
      .select(['runs.run_id', 'runs.account_id', 'runs.provider_id', 'gates.gate_id', 'gates.task_id'])
      .where('runs.account_id', '!=', account_id)
      .orderBy((eb) => eb('gates.gate_id', 'is', null))
      .orderBy('runs.created_at', 'desc')
      .limit(1)
      .executeTakeFirst();
    if (!run) return undefined;
    const { key_id } = await db
      .selectFrom('api_keys')
      .select('key_id')
      .where('account_id', '=', run.account_id)
      .executeTakeFirstOrThrow();
    const { subscription_id } = await db
      .selectFrom('webhook_subscriptions')
      .select('subscription_id')
      .where('account_id', '=', run.account_id)
      .executeTakeFirstOrThrow();
    const { agent_id } = await db
      .selectFrom('agents')
      .select('agent_id')
      .where('account_id', '=', run.account_id)
      .executeTakeFirstOrThrow();
    const { person_id } = await db
      .selectFrom('people')
      .select('person_id')
      .where('account_id', '=', run.account_id)
      .executeTakeFirstOrThrow();
    const { run_id, task_id, gate_id, provider_id } = run;
    return {
      run_id,
      task_id: task_id ?? 'T1',
      gate_id: gate_id ?? `${run_id}/T1/1`,
      provider_id: provider_id!,
      key_id,
      delivery_id: `msg_${run_id}_1`,
      subscription_id,
      orchestration_id: 'chaos',
      agent_id,
      person_id,
    };
  }

  /** Any file of another account. */
  async function file(): Promise<string | undefined> {
    const found = await db
      .selectFrom('files')
      .select('file_id')
      .where('account_id', '!=', account_id)
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirst();
    return found?.file_id;
  }

  /** The organisation of another account, and a version of an agent of it that is private. */
  async function offer(): Promise<{ org: string; workspace_id: string; version_id: string } | undefined> {
    const found = await db
      .selectFrom('agent_versions')
      .innerJoin('agents', 'agents.agent_id', 'agent_versions.agent_id')
      .innerJoin('accounts', 'accounts.account_id', 'agents.account_id')
      .select(['slug as org', 'accounts.account_id', 'version_id'])
      .where('accounts.account_id', '!=', account_id)
      .where('agents.name', '=', 'lead')
      .limit(1)
      .executeTakeFirst();
    return found && { ...found, workspace_id: uuidOf(found.account_id) };
  }

  return {
    offer: () => offer().catch(() => undefined),
    others: () => others().catch(() => undefined),
    file: () => file().catch(() => undefined),
  };
}
