import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { createCaller, publish } from '../harness/calls.ts';
import { registerCode } from '../harness/code.ts';
import type { User } from '../harness/orchflow.ts';
import { present } from '../harness/sandboxes.ts';
import { useStory } from '../harness/story.ts';

/** Agents of others that are called, and then call: in the account of who called first, and with the eyes of anybody. */

/** It asks for what its input says, one after another, and answers with what it has got. `{root}` is the run that its chain began with, `{last}` the one that it has called last. */
const asker = `
import json, os, sys, urllib.request, urllib.error
env = os.environ
places = {"{root}": "/workspaces/" + env["ORCHAGENT_BILLING_ORG_ID"] + "/runs/" + env["ORCHAGENT_ROOT_RUN_ID"]}
def ask(path, body=None, more={}):
    for name, place in places.items(): path = path.replace(name, place)
    headers = {"authorization": "Bearer " + env["ORCHAGENT_SERVICE_KEY"], "content-type": "application/json", **more}
    data = None if body is None else json.dumps(body).encode()
    try:
        answer = urllib.request.urlopen(urllib.request.Request(env["ORCHAGENT_GATEWAY_URL"] + path, data, headers))
        called = answer.headers.get("x-run-id")
        if called: places["{last}"] = places["{root}"].rsplit("/", 1)[0] + "/" + called
        return [answer.status, json.load(answer)]
    except urllib.error.HTTPError as error:
        said = error.read().decode()
        return [error.code, json.loads(said) if said.startswith("{") else {"message": said}]
print(json.dumps({"seen": [ask(*one) for one in json.load(sys.stdin)["ask"]]}))
`;

describe.skipIf(!present.bubblewrap)('with a sandbox', () => {
  const story = useStory({ SANDBOX_DRIVER: 'bubblewrap' });
  const slug = (user: User, org: string) =>
    sql`update accounts set slug = ${org} where email = ${user.email}`.execute(story.orchflow.db);
  const codeOf = ([status, { error }]: [number, any]) => [status, error?.code];

  test("a stranger's agent calls, and reads, what anybody does, whoever has called it", async () => {
    const { orchflow, user: alice, model, provider_id } = story;
    const { db } = orchflow;
    const mallory = await orchflow.register();
    const own = { provider_id, system_prompt: 'Salaries.' };
    await publish(orchflow, alice, 'deep-a', { name: 'payroll', description: 'Pays salaries.', ...own });
    await publish(
      orchflow,
      alice,
      'deep-a',
      { name: 'helper', provider_id, system_prompt: 'My recipe.' },
      { is_public: true },
    );
    await publish(orchflow, alice, 'deep-a', { name: 'style' }, { type: 'skill' });
    await registerCode(orchflow, alice, { 'main.py': asker }, { name: 'front' });
    const probe_id = await registerCode(orchflow, mallory, { 'main.py': asker }, { name: 'probe' });
    await db.updateTable('agent_versions').set({ is_public: true }).where('agent_id', '=', probe_id).execute();
    await slug(mallory, 'deep-m');
    const dependencies = ['payroll', 'helper'].map((name) => ({ id: `deep-a/${name}`, version: 'v1' }));
    const loop = { engine: 'managed_loop' as const, manifest: { dependencies } };
    await publish(orchflow, mallory, 'deep-m', { name: 'deputy' }, { is_public: true, package: loop });
    model.on(() => '{"said": "Fine."}');

    const { post } = createCaller(orchflow.url, alice);
    const helper = '/deep-a/helper/v1/run';
    const asked = [
      ['/deep-a/payroll/v1/run', {}],
      ['/deep-a/nobody/v1/run', {}],
      [helper, {}, { 'x-orchagent-skills': 'deep-a/style@v1' }],
      [helper, { wish: 'soup' }, { 'idempotency-key': 'order-1' }],
      ['{last}/logs'],
      ['{last}/dag'],
      ['{root}'],
      ['{root}/logs'],
      ['{root}/dag'],
    ];
    const { status, body } = await post('/deep-a/front/v1/run', {
      ask: [['/deep-m/probe/v1/run', { ask: asked }]],
      secret: 'of alice',
    });
    expect(status, JSON.stringify(body)).toBe(200);
    const [[, probe]] = body.data.seen;
    expect(probe.data, JSON.stringify(probe)).toBeDefined();
    const [payroll, nobody, styled, helped, logs, dag, ...root] = probe.data.seen;
    expect(codeOf(payroll), JSON.stringify(probe)).toEqual([404, 'NOT_FOUND']);
    expect(payroll[1].message).toBe(nobody[1].message);
    expect(codeOf(styled)).toEqual([404, 'NOT_FOUND']);
    expect([helped[0], helped[1].data]).toEqual([200, { said: 'Fine.' }]);
    expect([logs[0], logs[1].input_data]).toEqual([200, { wish: 'soup' }]);
    expect([dag[0], dag[1].node_count, dag[1].tree.agent_name]).toEqual([200, 1, 'helper']);
    expect(root.map(codeOf)).toEqual(root.map(() => [404, 'NOT_FOUND']));
    expect(JSON.stringify(probe)).not.toContain('of alice');

    // A model of theirs calls what anybody may, and no more.
    model.reset();
    model.on(({ system, body: request }) => {
      if (system.includes('recipe') || system.includes('Salaries')) return '{"said": "Fine."}';
      const said = request.messages.filter((message: any) => message.role === 'tool');
      const next = request.tools[said.length];
      if (next) return { call: [{ name: next.function.name, arguments: {} }] };
      return JSON.stringify({ said: said.map((message: any) => message.content) });
    });
    const deputy = await post('/deep-m/deputy/v1/run', {});
    expect(deputy.body.data.said, JSON.stringify(deputy.body)).toEqual([
      expect.stringContaining('The agent deep-a/payroll@v1 cannot be called any more.'),
      '{"said":"Fine."}',
    ]);
    expect(model.calls.some(({ system }) => system.includes('Salaries'))).toBe(false);
    expect(JSON.stringify(model.calls)).not.toContain('Pays salaries.');
    expect((await post('/deep-a/payroll/v1/run', {})).status).toBe(200);
  });

  test('what came with the first call answers what it leads to, and code has Idempotency-Keys of its own', async () => {
    const { orchflow, user: alice, model } = story;
    const mallory = await orchflow.register();
    await publish(orchflow, alice, 'deep-b', { name: 'helper' }, { is_public: true });
    await registerCode(orchflow, alice, { 'main.py': asker }, { name: 'front' });
    const probe_id = await registerCode(orchflow, mallory, { 'main.py': asker }, { name: 'probe' });
    const public_too = orchflow.db.updateTable('agent_versions').set({ is_public: true });
    await public_too.where('agent_id', '=', probe_id).execute();
    await slug(mallory, 'deep-n');
    model.on(() => '{"said": "Fine."}');
    const { post } = createCaller(orchflow.url, alice);
    const helper = '/deep-b/helper/v1/run';
    const wishes: object[] = [{ model: 'gpt-5-pro' }, { provider: 'openai' }, { provider: 'openai', model: 'gpt-4o' }];
    const ask = wishes.map((llm_credentials) => [helper, { llm_credentials }]);
    const llm_credentials = { api_key: 'sk-of-the-chain', provider: 'openai', base_url: model.baseUrl('openai') };

    const byOthers = await post('/deep-n/probe/v1/run', { ask, llm_credentials });
    expect(byOthers.body.data.seen.map(codeOf), JSON.stringify(byOthers.body)).toEqual(
      wishes.map(() => [400, 'INVALID_INPUT']),
    );
    expect(byOthers.body.data.seen[2][1].error.errors.map((one: any) => one.pointer)).toEqual([
      '/llm_credentials/provider',
      '/llm_credentials/model',
    ]);
    const plain = await post('/deep-n/probe/v1/run', {
      ask: [[helper, {}, { 'idempotency-key': 'order-2' }]],
      llm_credentials,
    });
    expect(
      plain.body.data.seen.map(([status]: any) => status),
      JSON.stringify(plain.body),
    ).toEqual([200]);
    const byOwn = await post('/deep-b/front/v1/run', { ask: ask.slice(2), llm_credentials });
    expect(
      byOwn.body.data.seen.map(([status]: any) => status),
      JSON.stringify(byOwn.body),
    ).toEqual([200]);
    expect(model.calls.map(({ headers, model: name }) => [headers.authorization, name])).toEqual([
      ['Bearer sk-of-the-chain', expect.any(String)],
      ['Bearer sk-of-the-chain', 'gpt-4o'],
    ]);
    const own = await post(helper, { mine: true }, { 'idempotency-key': 'order-2' });
    expect([own.status, model.calls.at(-1)!.headers.authorization], JSON.stringify(own.body)).toEqual([
      200,
      'Bearer sk-canary',
    ]);
  });
});
