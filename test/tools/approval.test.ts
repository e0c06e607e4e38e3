import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { mcpKey, startFakeMcp, type FakeMcp } from '../fakes/mcp.ts';
import type { ModelCall, Reply } from '../fakes/model.ts';
import { useStory } from '../harness/story.ts';

/** A call of a tool that people approve is made at a gate of its own, whatever becomes of servers meanwhile. */

let mcp: FakeMcp;
let other: FakeMcp;
const story = useStory();
beforeAll(async () => {
  mcp = await startFakeMcp((city) => `Rain in ${city}.`);
  other = await startFakeMcp((city) => `No weather in ${city}.`);
});
beforeEach(async () => {
  mcp.calls.splice(0);
  other.calls.splice(0);
  await register();
});
afterAll(() => {
  mcp.down();
  other.down();
});

const register = ({ url } = mcp) =>
  story.user.post('/tools/mcp', { name: 'weather', url, headers: { Authorization: mcpKey } });
const forecast = (city: string) => ({ name: 'weather__forecast', arguments: { city } });

/** A run whose first agent may call the weather with approval, and does as it is told. */
function startCareful(execute: (call: ModelCall) => Reply | Promise<Reply>) {
  const agent = { name: 'researcher', tools: [{ name: 'weather.forecast', require_approval: true }] };
  return story.start({ execute: (call) => (call.task_id === 'T1' ? execute(call) : undefined) }, { agents: [agent] });
}

const heard = ({ calls }: ModelCall) => `Heard: ${calls.map(({ result }) => result).join(' ')}`;
const cities = () => [...mcp.calls, ...other.calls].map(({ city }) => city);

test('a tool that was not offered in a turn is not called, though its server is there again by then', async () => {
  const run = await startCareful(async (call) => {
    if (call.calls.length === 0) return { call: [forecast('Oslo')] };
    if (call.calls.length === 2) return heard(call);
    await register();
    return { call: [forecast('Rome')] };
  });
  await run.until('waiting_human');
  await story.user.delete('/tools/mcp/weather');
  await run.complete('T1', { decision: 'approve' });
  const { tasks } = await run.until('completed');
  expect(cities()).toEqual([]);
  expect(tasks[0]!.output).toBe(`Heard: ${Array(2).fill('There is no tool "weather.forecast".').join(' ')}`);
});

test('what was approved for one server is not sent to another of its name', async () => {
  const run = await startCareful((call) => {
    const city = ['Oslo', 'Rome'][call.calls.length];
    return city ? { call: [forecast(city)] } : heard(call);
  });
  const { tasks } = await run.until('waiting_human');
  await register(other);
  await run.complete('T1', { decision: 'approve' });
  await run.until(
    ({ tasks: [task] }) => task!.gate!.status === 'open' && task!.gate!.gate_id !== tasks[0]!.gate!.gate_id,
  );
  expect(cities()).toEqual([]);
  await run.complete('T1', { decision: 'approve' });
  const done = await run.until('completed');
  expect(cities()).toEqual(['Rome']);
  expect(done.tasks[0]!.output).toMatch(
    /^Heard: The server of "weather.forecast" is another by now.* No weather in Rome\.$/,
  );
});

test('a call is made only at a gate that was answered in PostgreSQL', async () => {
  const run = await startCareful((call) => (call.calls.length ? heard(call) : { call: [forecast('Oslo')] }));
  const { tasks } = await run.until('waiting_human');
  const { gate_id } = tasks[0]!.gate!;
  // As REST signals an answer that it has stored; nobody has stored this one.
  const answer = { task_id: 'T1', gate_id, decision: 'approve', output_id: null };
  await story.orchflow.client.workflow.getHandle(run.run_id).signal('completeTask', answer);
  const done = await run.until('completed');
  expect(cities()).toEqual([]);
  expect(done.tasks[0]!.output).toBe('Heard: Nobody has approved this call, and it was not made.');
});
