import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { startFakeWeb } from '../fakes/web.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { knowledgeOf } from '../harness/knowledge.ts';
import { discover, letIn, registerClient } from '../harness/oauth.ts';
import { until } from '../harness/orchflow.ts';
import { createStack } from '../harness/orchstack.ts';
import { pdfOf } from '../harness/pdf.ts';
import { useStory } from '../harness/story.ts';

/** All of OrchStack's page in one: what a client does with nothing else in its hands. */

const story = useStory({ HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8' });

test('an agent knows a PDF, streams to a client of OAuth, waits for a person before it calls, and its end is told', async () => {
  const { user, model, provider_id } = story;
  const { url } = story.orchflow;
  const [web, endpoint] = await Promise.all([startFakeWeb(() => ({ body: 'Noted.' })), startFakeWebhook()]);
  try {
    const owner = createStack(url, user);
    const events = ['knowledge.indexed', 'agent.gate.pending', 'agent.run.completed'];
    const { body: webhook } = await owner.post('/webhooks', { url: endpoint.url, events });

    const knowledge = knowledgeOf(url, user);
    const knowledge_id = await knowledge.create({ name: 'Handbook' });
    const content = pdfOf([['Returns', 'Goods may be returned within thirty days of delivery.']]);
    await knowledge.index(knowledge_id, { content, name: 'handbook.pdf', type: 'application/pdf' });

    const agent_id = await owner.createAgent({
      name: 'clerk',
      provider_id,
      knowledge: [knowledge_id],
      tools: [{ name: 'http_request', require_approval: true }],
    });
    model.on(({ calls }) => {
      if (calls.length === 0) return { call: [{ name: 'search_knowledge', arguments: { query: 'Returns?' } }] };
      const note = { url: `${web.url}/notes`, method: 'POST', body: 'Thirty days.' };
      return calls.length === 1 ? { call: [{ name: 'http_request', arguments: note }] } : 'You have thirty days.';
    });

    const client = await registerClient(url, user, { scopes: ['runs:read', 'runs:write', 'gates:answer'] });
    const scope = 'runs:read runs:write gates:answer';
    const { access_token } = await letIn(await discover(url, client), user.api_key, { scope });
    const app = createStack(url, { api_key: access_token });
    const asked = { input: 'How long may a return take?', channel: 'whatsapp', user_id: 'usr_xyz789', stream: true };
    const first = await app.stream(`/agents/${agent_id}/run`, asked);
    const paused = first.events.at(-1)!;
    expect(paused).toMatchObject({ event: 'result', data: { status: 'waiting_human' } });
    const { run_id, gates } = paused.data;
    expect(gates).toMatchObject([{ kind: 'tool_approval', draft: expect.stringContaining('Thirty days.') }]);
    expect(web.requests).toEqual([]);

    const answered = await app.call('POST', gates[0].answer_url.replace('/v1', ''), { decision: 'approve' });
    expect(answered.status, JSON.stringify(answered.body)).toBe(200);
    const run = await user.openRun(run_id).until('completed');
    expect(run.final_output).toBe('You have thirty days.');
    expect(web.requests).toMatchObject([{ path: '/notes', body: 'Thirty days.' }]);

    const { body: seen } = await app.get(`/runs/${run_id}`);
    const { tokens } = seen;
    expect(seen.trace.map(({ type, tool }: Record<string, string>) => tool ?? type)).toEqual([
      'model_call',
      'search_knowledge',
      'model_call',
      'gate',
      'http_request',
      'model_call',
    ]);
    expect(seen.trace[1]).toMatchObject({ type: 'retrieval', result: expect.stringContaining('handbook.pdf') });
    expect(seen.trace[3]).toMatchObject({ decision: 'approve', by: { kind: 'client', name: 'Acme Inbox' } });

    await until(() => endpoint.requests.length === 3, 'all three are told');
    const told = endpoint.requests.map(({ body, headers }) =>
      new Webhook(webhook.secret).verify(body, headers as Record<string, string>),
    ) as { type: string; data: object }[];
    expect(told.map(({ type }) => type).toSorted()).toEqual(events.toSorted());
    expect(told.find(({ type }) => type === 'agent.run.completed')!.data).toMatchObject({
      run_id,
      agent_id,
      channel: 'whatsapp',
      user_id: 'usr_xyz789',
      output: 'You have thirty days.',
      tokens,
    });
  } finally {
    web.down();
    await endpoint.close();
  }
});
