import { expect, test } from 'vitest';
import { uuidOf } from '../../src/ids.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { createAgents } from '../harness/orchagent.ts';
import type { User } from '../harness/orchflow.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Agents are called by version, and answer. */

const story = useStory();

let number = 0;
/** An organisation that no other test has. */
const newOrg = () => `acme-${(number += 1)}`;
const call = (user: User = story.user) => createCaller(story.orchflow.url, user).post;
const offer = (
  org: string,
  ...agent: Parameters<typeof publish> extends [any, any, any, ...infer Rest] ? Rest : never
) => publish(story.orchflow, story.user, org, ...agent);

test('an agent is called with JSON, and answers in the envelope', async () => {
  const org = newOrg();
  story.model.on(
    () => '{"total": 12, "warnings": [{"code": "LOW_CONFIDENCE", "field": "total", "message": "Faint."}]}',
  );
  await offer(org, { name: 'scanner', system_prompt: 'You scan.' });
  const { status, body, headers } = await call()(`/${org}/scanner/latest/analyze`, { invoice: 'Twelve euros.' });
  expect(status, JSON.stringify(body)).toBe(200);
  const uuid = headers.get('x-run-id')!;
  expect(headers.get('x-orchagent-run-id')).toBe(uuid);
  expect(headers.get('deprecation')).toBe(null);
  expect(body).toEqual({
    data: { total: 12 },
    warnings: [{ code: 'LOW_CONFIDENCE', field: 'total', message: 'Faint.' }],
    metadata: {
      request_id: `req_${uuid.replaceAll('-', '').slice(0, 12)}`,
      run_id: uuid,
      processing_time_ms: expect.any(Number),
      execution_time_ms: expect.any(Number),
      version: 'v1',
      usage: {
        input_tokens: expect.any(Number),
        output_tokens: expect.any(Number),
        llm_calls: 1,
        cost_usd: expect.any(Number),
      },
    },
  });
  const { body: listed } = await story.user.get('/runs');
  expect(listed.runs.map((run: any) => [uuidOf(run.run_id), run.origin, run.error_code])).toEqual([
    [uuid, 'orchagent', null],
  ]);
  const [asked] = story.model.calls;
  expect(asked!.prompt).toContain('Twelve euros.');
  expect(asked!.system).toMatch(/^You scan\./);
});

test('nothing at all is an empty input, and a text is the result', async () => {
  const org = newOrg();
  story.model.on(() => 'Good morning.');
  await offer(org, { name: 'greeter' }, { package: { default_endpoint: 'greet' } });
  for (const endpoint of ['run', 'analyze', 'greet']) {
    const { status, body } = await call()(`/${org}/greeter/v1/${endpoint}`);
    expect([status, body.data], JSON.stringify(body)).toEqual([200, { result: 'Good morning.' }]);
  }
  story.model.on(() => ({ finish: 'length', text: 'Good mor' }));
  const { body: cut } = await call()(`/${org}/greeter/v1/run`);
  expect([cut.data, cut.warnings]).toEqual([
    { result: 'Good mor' },
    [{ code: 'TRUNCATED', message: expect.stringContaining('cut') }],
  ]);
  for (const path of ['v1/other', 'v2/run', 'v1.2/run', 'v0/run', 'newest/run', 'v01/run']) {
    const { status, body } = await call()(`/${org}/greeter/${path}`, {});
    expect([status, body.error.code, body.message], path).toEqual([404, 'NOT_FOUND', body.error.message]);
    if (path !== 'v1/other') expect(body.message, path).toBe('Agent version not found.');
  }
  for (const method of ['GET', 'PUT', 'DELETE']) {
    const answer = await fetch(`${story.orchflow.url}/${org}/greeter/v1/run`, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
  }
  const wrong = await createCaller(story.orchflow.url, { api_key: 'orch_no' }).post(`/${org}/greeter/v1/run`, {});
  expect([wrong.status, wrong.body.error]).toEqual([
    401,
    expect.objectContaining({
      code: 'UNAUTHORIZED',
      is_retryable: false,
      message: expect.stringContaining('Authorization: Bearer'),
    }),
  ]);
});

test('what does not fit is refused, naming the field, and nothing is begun', async () => {
  const input_schema = {
    type: 'object',
    properties: { text: { type: 'string' }, colour: { type: 'string', deprecated: true } },
    required: ['text'],
    additionalProperties: false,
  };
  const agents = createAgents(story.orchflow.url, story.user);
  const { agent } = await agents.publish({ name: 'reader', type: 'prompt', input_schema });
  story.model.on(() => 'Read.');
  const path = `/${agent.org_slug}/reader/v1/run`;
  const faulty = await call()(path, { txt: 'x', llm_credentials: { model: 'gpt-4o' } });
  expect([faulty.status, faulty.body.error.code, faulty.body.error.errors.map((one: any) => one.pointer)]).toEqual([
    400,
    'INVALID_INPUT',
    expect.arrayContaining(['/text', '/txt']),
  ]);
  for (const body of [[], 'text', 7]) {
    const { status, body: answer } = await call()(path, JSON.stringify(body), { 'content-type': 'application/json' });
    expect([status, answer.error.code]).toEqual([400, 'INVALID_INPUT']);
  }
  const typed = await call()(path, 'a=b', { 'content-type': 'application/x-www-form-urlencoded' });
  expect([typed.status, typed.body.error.code]).toEqual([415, 'UNSUPPORTED_TYPE']);
  for (const [header, value] of [
    ['x-orchagent-max-hops', 'many'],
    ['x-orchagent-deadline-ms', '1.5'],
    ['x-orchagent-skills', 'no skill'],
    ['x-orchagent-no-skills', 'yes'],
  ]) {
    const { status, body } = await call()(path, { text: 'x' }, { [header!]: value! });
    expect([status, body.error.code], header).toEqual([400, 'INVALID_INPUT']);
    expect(body.error.errors[0].pointer.toLowerCase()).toBe(`/${header}`);
  }
  const late = await call()(path, { text: 'x' }, { 'x-orchagent-deadline-ms': String(Date.now() - 1_000) });
  expect([late.status, late.body.error.code, late.body.error.is_retryable]).toEqual([504, 'TIMEOUT', false]);
  expect((await story.user.get('/runs')).body.runs).toEqual([]);

  const old = await call()(path, { text: 'x', colour: 'red' });
  expect(old.body.warnings).toEqual([{ code: 'DEPRECATED_FIELD', field: 'colour', message: expect.any(String) }]);
  const long = 'word '.repeat(10_000);
  expect((await call()(path, { text: long })).status).toBe(200);
  expect(story.model.calls.at(-1)!.prompt).toContain(long);
  const { body: listed } = await story.user.get('/runs');
  expect(listed.runs[0].task.length).toBeLessThan(3_000);
  const again = await story.user.post(`/runs/${listed.runs[0].run_id}/rerun`, { from_task: 'T1' });
  expect(again.status, JSON.stringify(again.body)).toBe(201);
  await story.user.openRun(again.body.run_id).until('completed');
  expect(story.model.calls.at(-1)!.prompt).toContain(long);
});

test('a run that fails is answered with why, and its run says so too', async () => {
  const org = newOrg();
  const { model } = story;
  const output_schema = { type: 'object', properties: { total: { type: 'number' } }, required: ['total'] };
  await offer(org, { name: 'typed', output_schema, provider_id: story.provider_id });
  await offer(org, { name: 'slow', timeout_seconds: 1, provider_id: story.provider_id });
  await offer(org, { name: 'plain', provider_id: story.provider_id });
  const failing = async (name: string, headers: Record<string, string> = {}) => {
    const { status, body } = await call()(`/${org}/${name}/v1/run`, {}, headers);
    const { body: listed } = await story.user.get('/runs?limit=1');
    return [status, body.error?.code, body.error?.is_retryable, listed.runs[0].error_code, listed.runs[0].status];
  };
  model.on(() => 'No number.');
  expect(await failing('typed')).toEqual([422, 'UNPROCESSABLE', false, 'INVALID_OUTPUT', 'failed']);
  await offer(org, { name: 'poor', max_cost_usd: 0.000_001, on_budget: 'fail', provider_id: story.provider_id });
  expect(await failing('poor')).toEqual([422, 'UNPROCESSABLE', false, 'BUDGET_REACHED', 'failed']);
  model.on(() => ({ status: 401 }));
  expect(await failing('plain')).toEqual([502, 'LLM_ERROR', false, 'LLM_REFUSED', 'failed']);
  model.on(() => ({ hang: 'before_headers' }));
  expect(await failing('slow')).toEqual([504, 'TIMEOUT', true, 'TIMEOUT', 'failed']);
  await model.untilHungUp();
  const soon = { 'x-orchagent-deadline-ms': String(Date.now() + 1_500) };
  expect(await failing('plain', soon)).toEqual([504, 'TIMEOUT', true, 'TIMEOUT', 'failed']);
  await model.untilHungUp();
  const { run_id } = (await story.user.get('/runs?limit=1')).body.runs[0];
  model.on(() => 'At last.');
  expect((await story.user.post(`/runs/${run_id}/retry`, {})).status).toBeLessThan(300);
  expect(await story.user.openRun(run_id).until('completed')).toMatchObject({
    error_code: null,
    final_output: 'At last.',
  });
});

test('an agent that waits for a person is answered at once, without data', async () => {
  const org = newOrg();
  story.model.on(() => 'A draft.');
  await offer(org, { name: 'asker', require_approval: true, timeout_seconds: 2, provider_id: story.provider_id });
  const post = call();
  const once = { 'idempotency-key': `wait-${org}` };
  const { status, body, headers } = await post(`/${org}/asker/v1/run`, {}, once);
  expect([status, body.data, body.metadata.status, body.metadata.waiting_tasks]).toEqual([
    202,
    null,
    'waiting_human',
    ['T1'],
  ]);
  const { run } = body.metadata;
  expect(headers.get('location')).toBe(`/api/v1/runs/${run}`);
  await story.user.openRun(run).complete('T1', { decision: 'approve' });
  await story.user.openRun(run).until('completed');
  const done = await post(`/${org}/asker/v1/run`, {}, once);
  expect([done.status, done.body.data]).toEqual([200, { result: 'A draft.' }]);
  expect((await story.user.get('/runs')).body.runs).toHaveLength(1);
});

test('a deprecated version says what comes after it, and goes after sixty days', async () => {
  const org = newOrg();
  story.model.on(() => 'Old.');
  const agent_id = await offer(org, { name: 'old' }, { deprecated: 3 });
  await story.user.insist('PATCH', `/agents/${agent_id}`, { description: 'New.' });
  await offer(org, { name: 'gone' }, { deprecated: 61 });
  const { status, headers } = await call()(`/${org}/old/v1/run`, {});
  expect([status, headers.get('deprecation'), headers.get('link')]).toEqual([
    200,
    'true',
    `</${org}/old/v2/run>; rel="successor-version"`,
  ]);
  expect(Date.parse(headers.get('sunset')!)).toBeGreaterThan(Date.now() + 56 * 86_400_000);
  const refused = await call()(`/${org}/old/v1/run`, []);
  expect([refused.status, refused.headers.get('deprecation')]).toEqual([400, 'true']);
  const gone = await call()(`/${org}/gone/v1/run`, {});
  expect([gone.status, gone.body.message]).toEqual([404, expect.stringContaining('is gone')]);
});

test('skills are added to the prompt, by the agent and by who calls', async () => {
  const org = newOrg();
  await offer(org, { name: 'style', system_prompt: 'Write short.' }, { type: 'skill' });
  const files = [{ path: 'rules.md', content: 'No adverbs.', size: 11 }];
  await offer(
    org,
    { name: 'rules', system_prompt: 'Follow the rules.' },
    { type: 'skill', package: { skill_files: files } },
  );
  const packed = { default_skills: [`${org}/style@v1`] };
  await offer(org, { name: 'writer', system_prompt: 'You write.' }, { package: packed });
  await offer(org, { name: 'locked' }, { package: { ...packed, skills_locked: true } });
  story.model.on(() => 'Text.');
  const promptWith = async (headers: Record<string, string>) => {
    const { status, body } = await call()(`/${org}/writer/v1/run`, {}, headers);
    expect(status, JSON.stringify(body)).toBe(200);
    const { system } = story.model.calls.at(-1)!;
    return ['You write.', 'Write short.', 'Follow the rules.', 'No adverbs.'].map((words) => system.includes(words));
  };
  const rules = `${org}/rules@v1`;
  expect(await promptWith({})).toEqual([true, true, false, false]);
  expect(await promptWith({ 'x-orchagent-skills': rules })).toEqual([true, true, true, true]);
  expect(await promptWith({ 'x-orchagent-skills-only': rules })).toEqual([true, false, true, true]);
  expect(await promptWith({ 'x-orchagent-no-skills': 'true' })).toEqual([true, false, false, false]);
  const locked = await call()(`/${org}/locked/v1/run`, {}, { 'x-orchagent-no-skills': 'true' });
  expect([locked.status, locked.body.error.reason]).toEqual([422, 'SKILLS_LOCKED']);
  const tome = [{ path: 'tome.md', content: 'x'.repeat(200_000), size: 200_000 }];
  await offer(org, { name: 'tome' }, { type: 'skill', package: { skill_files: tome } });
  const long = await call()(`/${org}/writer/v1/run`, {}, { 'x-orchagent-skills': `${org}/tome@v1` });
  expect([long.status, long.body.error.code]).toEqual([400, 'INVALID_INPUT']);
  const unknown = await call()(`/${org}/writer/v1/run`, {}, { 'x-orchagent-skills': `${org}/writer@v1` });
  expect([unknown.status, unknown.body.error.code]).toEqual([404, 'NOT_FOUND']);

  // Those of others are used as their agents are called, and read where they may be downloaded.
  const author = await story.orchflow.register();
  const theirs = newOrg();
  const closed = { name: 'closed', system_prompt: 'Closed words.' };
  await publish(story.orchflow, author, theirs, closed, { type: 'skill', is_public: true });
  await publish(story.orchflow, author, theirs, { name: 'paid' }, { type: 'skill', is_public: true, price_cents: 5 });
  await publish(story.orchflow, author, theirs, { name: 'shut' }, { type: 'skill', is_public: true, callable: false });
  const used = await call()(`/${org}/writer/v1/run`, {}, { 'x-orchagent-skills': `${theirs}/closed@v1` });
  expect(used.status).toBe(200);
  expect(story.model.calls.at(-1)!.system).toContain('Closed words.');
  const { runs } = (await story.user.get('/runs')).body;
  const seen = JSON.stringify((await story.user.get(`/runs/${runs[0].run_id}`)).body);
  expect(seen).not.toMatch(/Closed words|is_closed/);
  const refusal = async (skill: string) => {
    const answer = await call()(`/${org}/writer/v1/run`, {}, { 'x-orchagent-skills': `${theirs}/${skill}@v1` });
    return [answer.status, answer.body.error.code];
  };
  expect(await refusal('paid')).toEqual([402, 'INSUFFICIENT_CREDITS']);
  expect(await refusal('shut')).toEqual([403, 'FORBIDDEN']);
});

test('a call is told as events', async () => {
  const org = newOrg();
  const { model } = story;
  await offer(org, {
    name: 'maths',
    tools: [{ name: 'run_javascript', require_approval: false }],
    provider_id: story.provider_id,
  });
  const script = { name: 'run_javascript', arguments: { code: '6 * 7' } };
  model.on(inTurn({ call: [script] }, '{"answer": 42}'));
  const { open } = createCaller(story.orchflow.url, story.user);
  const answer = await open(`/${org}/maths/v1/run`, {}, { headers: { accept: 'text/event-stream' } });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
  const text = await answer.text();
  const events = text.split('\n\n').flatMap((block) => {
    const [, event, data] = /event: (.*)\ndata: (.*)$/.exec(block) ?? [];
    return event ? [[event, JSON.parse(data!)] as const] : [];
  });
  expect(events.map(([event, { type }]) => type ?? event)).toEqual([
    'turn_start',
    'tool_call',
    'tool_result',
    'turn_start',
    'done',
    'result',
  ]);
  expect(events[1]![1]).toMatchObject({ tool: 'run_javascript', args_brief: expect.stringContaining('6 * 7') });
  expect(events.at(-1)![1]).toMatchObject({ data: { answer: 42 }, metadata: { version: 'v1' } });
});
