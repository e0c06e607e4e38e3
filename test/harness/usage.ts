import { sql } from 'kysely';
import { expect } from 'vitest';
import { createCaller, publish } from './calls.ts';
import { createAgents } from './orchagent.ts';
import type { User } from './orchflow.ts';
import type { useStory } from './story.ts';

/** Calls of agents that are counted. */

export const paid = ({ llm_calls, tokens, cost_usd }: any) => ({ llm_calls, tokens, cost_usd });
export const counts = ({ calls, succeeded, failed, cancelled, unfinished }: any) => [
  calls,
  succeeded,
  failed,
  cancelled,
  unfinished,
];

/** Without the time that they are of, which is another from the next full hour on. */
export const untimed = ({ from: _from, to: _to, ...sums }: any) => sums;

/** The sums of these, as of one. */
export function total(parts: any[]) {
  const sum = (of: (part: any) => number) => parts.reduce((all, part) => all + of(part), 0);
  return {
    llm_calls: sum((part) => part.llm_calls),
    tokens: { input: sum((part) => part.tokens.input), output: sum((part) => part.tokens.output) },
    cost_usd: expect.closeTo(
      sum((part) => part.cost_usd),
      9,
    ),
  };
}

/** What a story has to do with usage. */
export function usageOf(story: ReturnType<typeof useStory>) {
  const clientOf = (user: User) => createAgents(story.orchflow.url, user);
  const callBy = (user: User) => createCaller(story.orchflow.url, user).post;

  async function get(user: User, path: string): Promise<any> {
    const { status, body } = await clientOf(user).get(path);
    expect(status, `${path}: ${JSON.stringify(body)}`).toBe(200);
    return body;
  }

  async function accountOf({ email }: User): Promise<string> {
    const found = story.orchflow.db.selectFrom('accounts').select('account_id').where('email', '=', email);
    return (await found.executeTakeFirstOrThrow()).account_id;
  }

  const versionOf = async (agent_id: string) =>
    (
      await story.orchflow.db
        .selectFrom('agent_versions')
        .select('version_id')
        .where('agent_id', '=', agent_id)
        .executeTakeFirstOrThrow()
    ).version_id;

  /** What the journal has of an account, of which nothing is purged. */
  async function journalOf(user: User) {
    const { rows } = await sql<any>`
      select count(*) as llm_calls, sum(input_tokens) as input, sum(output_tokens) as output,
        sum(usd(cost_usd))::float8 as cost_usd
      from llm_calls join runs using (run_id) where runs.account_id = ${await accountOf(user)}`.execute(
      story.orchflow.db,
    );
    const { llm_calls, input, output, cost_usd } = rows[0]!;
    return { llm_calls, tokens: { input, output }, cost_usd };
  }

  /** `boss` asks `finder` for what it knows, and both are of an organisation of the test's user. */
  async function publishChain(org: string) {
    const { provider_id } = story;
    const finder = await publish(
      story.orchflow,
      story.user,
      org,
      { name: 'finder', system_prompt: 'You look up.', provider_id },
      { is_public: true },
    );
    const dependencies = [{ id: `${org}/finder`, version: 'v1' }];
    const boss = await publish(
      story.orchflow,
      story.user,
      org,
      { name: 'boss', provider_id },
      { package: { engine: 'managed_loop', manifest: { dependencies } } },
    );
    story.model.on(({ system, body, prompt }) => {
      if (prompt.includes('Refuse')) return { status: 401 };
      if (system.includes('You look up.')) return '{"found": "a needle"}';
      const tool = body.tools?.find((one: any) => one.function.name.startsWith(org));
      const hasCalled = body.messages.some((message: any) => message.role === 'tool');
      if (tool && !hasCalled) return { call: [{ name: tool.function.name, arguments: { where: 'hay' } }] };
      return '{"said": "a needle"}';
    });
    return { finder: await versionOf(finder), boss: await versionOf(boss) };
  }

  return { clientOf, callBy, get, accountOf, journalOf, publishChain };
}
