import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createUser, startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { countRows } from '../harness/rows.ts';
import { send } from '../harness/raw.ts';

/** People are added, changed and removed, with their keys. */

let orchflow: Orchflow;
let owner: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  owner = await orchflow.register();
});

const userOf = (api_key: string) => createUser(orchflow.url, api_key, '', '');

async function add(person: object = {}, by = owner) {
  const { status, body } = await by.post('/people', { name: 'Anna', ...person });
  expect(status, JSON.stringify(body)).toBe(201);
  return body as { person_id: string; api_key: string; key_prefix: string };
}

const isTaken = async (api_key: string) => (await userOf(api_key).get('/inbox')).status !== 401;

test('a person is added with a key that is shown once, and is known by all else', async () => {
  const { api_key, ...shown } = await add({
    email: 'anna@acme.example',
    skills: ['Legal', ' tax ', 'LEGAL'],
    notify_url: 'https://example.com/hooks/anna',
    max_open: 5,
  });
  expect(api_key).toMatch(/^orch_[0-9A-Za-z]{49}$/);
  expect(shown).toEqual({
    person_id: expect.stringMatching(/^per_\w{20}$/),
    name: 'Anna',
    email: 'anna@acme.example',
    skills: ['legal', 'tax'],
    notify_url: 'https://example.com/hooks/anna',
    max_open: 5,
    status: 'active',
    open_gates: 0,
    key_prefix: api_key.slice(0, 9),
    last_used_at: null,
    created_at: expect.any(String),
  });
  expect((await owner.get(`/people/${shown.person_id}`)).body).toEqual(shown);
  expect((await owner.get('/people')).body).toEqual({ people: [shown], has_more: false, next_cursor: null });
  // It is no key of the account: neither listed nor counted with those.
  expect((await owner.get('/keys')).body.keys).toMatchObject([{ name: 'First key' }]);
});

describe.each<[string, object, string]>([
  ['no name', { name: undefined }, '/name'],
  ['a blank name', { name: ' ' }, '/name'],
  ['a name of two lines', { name: 'Anna\nIto' }, '/name'],
  ['a name of 101 characters', { name: 'x'.repeat(101) }, '/name'],
  ['what is no e-mail', { email: 'anna' }, '/email'],
  ['an empty skill', { skills: ['legal', ''] }, '/skills/1'],
  ['a skill of 65 characters', { skills: ['x'.repeat(65)] }, '/skills/0'],
  ['51 skills', { skills: Array.from({ length: 51 }, (_, n) => `skill ${n}`) }, '/skills'],
  ['skills that are a text', { skills: 'legal' }, '/skills'],
  ['no gates at most', { max_open: 0 }, '/max_open'],
  ['half a gate at most', { max_open: 0.5 }, '/max_open'],
  ['what is no address', { notify_url: 'ftp://example.com' }, '/notify_url'],
  ['an address inside', { notify_url: 'http://10.0.0.1/hook' }, '/notify_url'],
  ['a password in the address', { notify_url: 'https://a:b@example.com/' }, '/notify_url'],
  ['another status', { status: 'gone' }, '/status'],
  ['an unknown field', { role: 'admin' }, '/role'],
  ['what only we may set', { person_id: 'per_1' }, '/person_id'],
])('%s', (_what, given, pointer) => {
  test('is refused with the place of the fault, and nothing is kept', async () => {
    const before = await countRows(orchflow.db);
    expectFault(await owner.post('/people', { name: 'Anna', ...given }), pointer);
    expect(await countRows(orchflow.db)).toEqual(before);
    if (pointer === '/name' && !('name' in given && given.name)) return;
    const { person_id } = await add();
    const person = (await owner.get(`/people/${person_id}`)).body;
    expectFault(await owner.patch(`/people/${person_id}`, given), pointer);
    expect((await owner.get(`/people/${person_id}`)).body).toEqual(person);
  });
});

test('what is given is changed, what is not stays, and null takes away what may be missing', async () => {
  const { person_id } = await add({ email: 'anna@acme.example', skills: ['legal'], max_open: 5 });
  const before = (await owner.get(`/people/${person_id}`)).body;
  const changed = await owner.patch(`/people/${person_id}`, { skills: ['Tax'], email: null, max_open: null });
  expect(changed).toMatchObject({ status: 200 });
  expect(changed.body).toEqual({ ...before, skills: ['tax'], email: null, max_open: null });
  expect((await owner.patch(`/people/${person_id}`, {})).body).toEqual(changed.body);
  for (const field of ['name', 'skills', 'status'])
    expectFault(await owner.patch(`/people/${person_id}`, { [field]: null }), `/${field}`);
  expect((await owner.get(`/people/${person_id}`)).body).toEqual(changed.body);
});

test('a list has pages, and those with a skill, or a status', async () => {
  const names = ['Anna', 'Ben', 'Cleo'];
  for (const name of names) await add({ name, skills: name === 'Ben' ? ['tax'] : ['legal'] });
  const first = (await owner.get('/people?limit=2')).body;
  const second = (await owner.get(`/people?limit=2&cursor=${first.next_cursor}`)).body;
  const nameOf = ({ name }: { name: string }) => name;
  expect([...first.people, ...second.people].map(nameOf)).toEqual(['Cleo', 'Ben', 'Anna']);
  expect([first.has_more, second.has_more]).toEqual([true, false]);
  expect((await owner.get('/people?skill=LEGAL')).body.people.map(nameOf)).toEqual(['Cleo', 'Anna']);
  expect((await owner.get('/people?status=inactive')).body.people).toEqual([]);
  expectFault(await owner.get('/people?cursor=x'), '/cursor');
  expectFault(await owner.get('/people?skil=legal'), '/skil');
});

test('another key ends the one before, and who is inactive or gone has none that is taken', async () => {
  const anna = await add();
  expect(await isTaken(anna.api_key)).toBe(true);
  const renewed = await owner.post(`/people/${anna.person_id}/key`, undefined);
  expect(renewed).toMatchObject({ status: 200, body: { person_id: anna.person_id } });
  expect(renewed.body.key_prefix).toBe(renewed.body.api_key.slice(0, 9));
  await until(async () => !(await isTaken(anna.api_key)), 'the end of the first key');
  expect(await isTaken(renewed.body.api_key)).toBe(true);

  await owner.patch(`/people/${anna.person_id}`, { status: 'inactive' });
  await until(async () => !(await isTaken(renewed.body.api_key)), 'the end of the key of who is inactive');
  await owner.patch(`/people/${anna.person_id}`, { status: 'active' });
  await until(() => isTaken(renewed.body.api_key), 'the key of who is active again');

  expect(await owner.delete(`/people/${anna.person_id}`)).toMatchObject({ status: 200, body: { status: 'deleted' } });
  await until(async () => !(await isTaken(renewed.body.api_key)), 'the end of the key of who is gone');
  expect((await owner.get(`/people/${anna.person_id}`)).status).toBe(404);
});

test('a key makes no person whose key may do more than it may itself', async () => {
  const { api_key } = (await owner.post('/keys', { name: 'HR', scopes: ['people:read', 'people:write'] })).body;
  const refused = { status: 403, code: 'MISSING_SCOPE', scope: 'runs:read' };
  expectProblem(await userOf(api_key).post('/people', { name: 'Anna' }), refused);
  const { person_id } = await add();
  expectProblem(await userOf(api_key).post(`/people/${person_id}/key`, undefined), refused);
  expect((await userOf(api_key).patch(`/people/${person_id}`, { name: 'Ann' })).body.name).toBe('Ann');
});

test('a request that is made again makes the person once, and gets the same key', async () => {
  const headers = { 'x-api-key': owner.api_key, 'content-type': 'application/json', 'idempotency-key': 'anna' };
  const post = () => send(orchflow.url, 'POST', '/api/v1/people', headers, '{"name":"Anna"}');
  const first = await post();
  expect((await post()).body).toEqual(first.body);
  expect((await owner.get('/people')).body.people).toHaveLength(1);
});

const skillsFrom = (first: number) => Array.from({ length: 20 }, (_, n) => `skill ${first + n}`);

test.each<[string, object, string]>([
  ['an empty skill', { human_gates: [{ name: 'legal', skills: [''] }] }, '/human_gates/0/skills/0'],
  [
    '21 skills',
    { human_gates: ['a', { name: 'b', skills: Array.from({ length: 21 }, String) }] },
    '/human_gates/1/skills',
  ],
  ['skills that are a text', { human_gates: [{ name: 'legal', skills: 'legal' }] }, '/human_gates/0/skills'],
  ['what is asked about without words', { ask_me_about: [{ about: ' ' }] }, '/ask_me_about/0/about'],
  [
    '40 skills at its start',
    { ask_me_about: [0, 20].map((first) => ({ about: 'a', skills: skillsFrom(first) })) },
    '/ask_me_about',
  ],
  [
    '40 skills of what may be one task',
    { human_gates: [0, 20].map((first) => ({ name: 'a', skills: skillsFrom(first) })) },
    '/human_gates',
  ],
  ['an unknown field of it', { ask_me_about: ['a', { about: 'b', skill: 'c' }] }, '/ask_me_about/1/skill'],
])('a run that asks for %s is refused with the place of the fault', async (_what, given, pointer) => {
  expectFault(await owner.post('/runs', { task: 'Launch a newsletter', ...given }), pointer);
});

test('an account has a thousand people at most', async () => {
  const { person_id } = await add();
  const { account_id } = await orchflow.db
    .selectFrom('people')
    .select('account_id')
    .where('person_id', '=', person_id)
    .executeTakeFirstOrThrow();
  const others = Array.from({ length: 999 }, (_, n) => ({ person_id: `${person_id}_${n}`, account_id, name: 'x' }));
  await orchflow.db
    .insertInto('people')
    .values(others.map((other) => ({ ...other, skills: [] })))
    .execute();
  expectProblem(await owner.post('/people', { name: 'One more' }), {
    status: 429,
    code: 'LIMIT_REACHED',
    detail: 'This account has 1000 people, and may have no more. Remove one.',
  });
});

test('a process that knows no people lets in a key of a person nowhere; no other key is like it', async () => {
  const { person_id } = await add();
  const key = orchflow.db.selectFrom('api_keys').select('scopes').where('person_id', '=', person_id);
  expect((await key.executeTakeFirstOrThrow()).scopes).toEqual(['own_gates']);
  expectFault(await owner.post('/keys', { name: 'x', scopes: ['own_gates'] }), '/scopes/0');
});

test("a person's own key finds no other route than those that are for people", async () => {
  const { api_key, person_id } = await add();
  const document = (await send(orchflow.url, 'GET', '/openapi.json')).body;
  const operations = Object.entries<Record<string, { security: object[]; operationId: string }>>(
    document.paths,
  ).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })));
  const headers = { 'x-api-key': api_key, 'content-type': 'application/json' };
  const forPeople: string[] = [];
  for (const { path, method, operationId } of operations.filter(({ security }) => security.length > 0)) {
    const at = path.replaceAll('{person_id}', person_id).replaceAll(/\{\w+\}/g, 'unknown');
    const body = ['post', 'put', 'patch'].includes(method) ? '{}' : undefined;
    const answer = await send(orchflow.url, method.toUpperCase(), at, headers, body);
    if ([answer.body?.detail, answer.body?.message].includes('Page not found.')) expect(answer.status).toBe(404);
    else forPeople.push(operationId);
  }
  expect(forPeople.toSorted()).toEqual([
    'assignTask',
    'completeTask',
    'getInboxItem',
    'listInbox',
    'orchstackAnswerGate',
  ]);
});
