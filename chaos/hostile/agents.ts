import { limits } from '../limits.ts';
import { clear, mark } from './keys.ts';
import { orTooMany, type Attack } from './tenant.ts';

/** Agents that last, and people: wrong, too many, changed and deleted while they are at work, and reaching for more. */

const nested = (levels: number): object =>
  levels === 0 ? {} : { type: 'object', properties: { a: nested(levels - 1) } };
/** Of which each value fits every branch, so that all of them are tried. */
const branches = (levels: number): object =>
  levels === 0 ? { type: 'string' } : { anyOf: Array.from({ length: 8 }, () => branches(levels - 1)) };

/** What is no agent, each with a name that must not be there afterwards. */
const bad: object[] = [
  { output_schema: nested(200) },
  { output_schema: branches(5) },
  { input_schema: { $ref: 'http://169.254.169.254/latest' } },
  { input_schema: { type: 'string', pattern: '(a+)+$' } },
  { tools: ['no.such'] },
  { system_prompt: 'x'.repeat(100_001) },
  { system_prompt: 'a\0b' },
  { timeout_seconds: 0 },
  { max_turns: 1_000_000 },
  { other: 1 },
];

const badAgents: Attack = async ({ post, nameFor, atOnce }) => {
  await atOnce(bad.length, (index) => {
    const makes = nameFor('agent');
    return post('/agents', { name: makes, ...bad[index] }, [422], { makes });
  });
};

/** More agents than there may be. */
const manyAgents: Attack = async (hostile) => {
  const { post, nameFor, atOnce } = hostile;
  await atOnce(limits.agents + 3, () => {
    const makes = nameFor(mark);
    return post('/agents', { name: makes }, orTooMany(201), { makes });
  });
  await clear(hostile, '/agents', 'agents', 'agent_id', 'name');
};

/** One that never answers is run many times, changed by many at once, and deleted while all of that goes on. */
const changedAgents: Attack = async ({ post, ask, remove, nameFor, atOnce, provider_id, pause }) => {
  const makes = nameFor('agent');
  const { body } = await post('/agents', { name: makes, timeout_seconds: 5 }, orTooMany(201), { makes });
  if (!body) return;
  const path = `/agents/${body.agent_id}`;
  const run = (habit: string, due: number[]) => {
    const name = nameFor(habit);
    return post(`${path}/runs`, { input: `[run:${name}] Take what there is.`, provider_id }, due, { makes: name });
  };
  const change = (index: number) =>
    ask({ method: 'PATCH', path, body: { system_prompt: `Version ${index}.` }, due: [200, 429] });
  await Promise.all([atOnce(4, () => run('hang', orTooMany(201))), atOnce(12, change)]);
  await pause(500);
  await Promise.all([atOnce(4, () => run('plain', [201, 404, 429])), remove(path)]);
};

/** A person's own key, of its own account, for everything that is for keys of an account. */
const peoplesKeys: Attack = async ({ post, get, ask, remove, nameFor, spy }) => {
  const makes = nameFor('person');
  const { body } = await post('/people', { name: makes, skills: ['legal'] }, orTooMany(201), { makes });
  if (!body) return;
  const key: string = body.api_key;
  const others = await spy.others();
  for (const path of [
    '/runs',
    '/people',
    '/keys',
    '/providers',
    `/runs/${others?.run_id}`,
    `/inbox/${others?.gate_id}`,
  ])
    await get(path, [404], { key });
  await get('/inbox', [200], { key });
  await post('/runs', { task: 'Take what there is.' }, [404], { key });
  await post('/keys', { name: 'more', scopes: ['*'] }, [404], { key });
  await ask({ method: 'DELETE', path: `/people/${body.person_id}`, due: [404], key });
  const complete = `/runs/${others?.run_id}/tasks/${others?.task_id}`;
  await post(`${complete}/complete`, { output: 'xstolen', gate_id: others?.gate_id }, [404], { key });
  await post(`${complete}/assign`, { person_id: body.person_id }, [404], { key });
  await remove(`/people/${body.person_id}`);
};

export const agents = { badAgents, manyAgents, changedAgents, peoplesKeys };
