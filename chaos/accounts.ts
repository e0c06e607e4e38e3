import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { registerAgent } from '../test/harness/agent.ts';
import { register, type User } from '../test/harness/client.ts';
import { knowledgeOf } from '../test/harness/knowledge.ts';
import { publishAgents } from './offers.ts';
import { definition } from './orchestration.ts';
import { expiredMark, type Outside } from './outside.ts';

/** Who answers with a key of their own. */
export type Person = { person_id: string; api_key: string };

/** What gates ask for that only these people may answer. */
export const skill = 'legal';

/** The registered agent whose calls people approve. */
export const carefulAgent = 'clerk';

export type Account = {
  name: string;
  api_key: string;
  webhook_secret: string;
  provider_key: string;
  /** The first speaks as OpenAI, the second as Anthropic. */
  providers: [string, string];
  /** A provider whose key is refused most of the time. */
  expired: string;
  webhook_url: string;
  escalation_url: string;
  subscription_secret: string;
  people: Person[];
  /** Whose documents a provider of the account embeds. */
  knowledge_id: string;
  /** Under whose name its agents are called. */
  org: string;
  /** Registered: one whose calls and output people approve, and one without tools. */
  agents: [careful: string, plain: string];
};

/** An account with its providers and an orchestration, while all is well; on a busy machine not always at the first try. */
export async function openAccount(...given: Parameters<typeof open>): Promise<Account> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await open(...given);
    } catch (error) {
      if (tries === 10) throw error;
      await sleep(1_000);
    }
  }
}

async function open(api: string, name: string, outside: Outside): Promise<Account> {
  const user = await register(api);
  const provider_key = `sk-canary${name}0123456789`;
  const expired = await user.addProvider(outside.model, 'openai', { api_key: `${provider_key}${expiredMark}` });
  const embeds = await user.post('/providers', {
    provider: 'openai',
    api_key: provider_key,
    base_url: outside.embedder.url,
  });
  assert.equal(embeds.status, 201, JSON.stringify(embeds.body));
  // The newest of each vendor answers where an agent is called.
  const providers: [string, string] = [
    await user.addProvider(outside.model, 'openai', { api_key: provider_key }),
    await user.addProvider(outside.model, 'anthropic', { api_key: provider_key }),
  ];
  const saved = await user.post('/orchestrations', definition);
  assert.equal(saved.status, 201, JSON.stringify(saved.body));
  const url = outside.endpoint(`${name}-events`, user.webhook_secret);
  const subscribed = await user.post('/webhooks/subscriptions', { url, events: ['*'] });
  assert.equal(subscribed.status, 201, JSON.stringify(subscribed.body));
  outside.endpoint(`${name}-events`, subscribed.body.secret);
  const notify_url = outside.endpoint(`${name}-people`, user.webhook_secret);
  return {
    name,
    api_key: user.api_key,
    webhook_secret: user.webhook_secret,
    provider_key,
    providers,
    expired,
    webhook_url: outside.endpoint(name, user.webhook_secret),
    escalation_url: outside.endpoint(`${name}-escalation`, user.webhook_secret),
    subscription_secret: subscribed.body.secret,
    people: [await addPerson(user, { notify_url, max_open: 1 }), await addPerson(user, { max_open: 3 })],
    knowledge_id: await knowledgeOf(api, user).create({ embedding: { provider_id: embeds.body.provider_id } }),
    org: await publishAgents(api, user, outside.web.url),
    agents: [
      await registerAgent(user, {
        name: carefulAgent,
        tools: ['run_javascript', { name: 'http_request', require_approval: true }],
        require_approval: true,
      }),
      await registerAgent(user, { name: 'scribe' }),
    ],
  };
}

async function addPerson(user: User, more: object): Promise<Person> {
  const { status, body } = await user.post('/people', { name: 'Anna', skills: [skill], ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return { person_id: body.person_id, api_key: body.api_key };
}
