import { describe, expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { define, resume, runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** What one run stores has a bound, and so has what one answer shows of it. */

const mib = 1024 * 1024;
const story = useStory({ MAX_RUN_TEXT_BYTES: String(14 * mib) });
/** Each makes almost a mebibyte. */
const make = (n: number, length = 1_000_000) => ({
  id: `make${n}`,
  type: 'transform',
  transform_code: `'x'.repeat(${length})`,
  output_key: `made${n}`,
});
const many = (count: number, length?: number) => Array.from({ length: count }, (_unused, n) => make(n, length));

describe('a run', () => {
  test('that has more than so many bytes of texts fails, and says so', async () => {
    const { body } = await runSteps(story.user, many(17));
    const detail = "Step 'make15' failed: its run has more than 14,680,064 bytes of texts together.";
    expect([body.status, body.response]).toEqual(['failed', detail]);
  });

  test('of a goal asks a person instead, as with any task that cannot be done', async () => {
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const text = { text_id: `${run.run_id}/much`, run_id: run.run_id, text: 'x'.repeat(14 * mib) };
    await story.orchflow.db.insertInto('texts').values(text).execute();
    await run.complete('T1', { output: 'A thousand.' });
    await run.untilWaiting('T2');
    expect((await run.task('T2')).gate?.reason).toContain('its run has more than 14,680,064 bytes of texts together.');
    await run.cancel();
  });
});

describe('an answer', () => {
  test('shows as much of a large state as it holds, and names what it leaves out', async () => {
    const { body } = await runSteps(story.user, [...many(10), { ...make(10, 10), output_key: 'small' }]);
    const shown = Object.keys(body.shared_state);
    const warning = /^`shared_state` is shown without made\d(, made\d)*: an answer has 8 MiB of them at most\.$/;
    expect(body.status).toBe('completed');
    expect(body.warnings).toEqual([expect.stringMatching(warning)]);
    const missing = body.warnings[0].match(/made\d/g);
    expect(shown).toContain('small');
    expect([...shown, ...missing].filter((key) => key.startsWith('made'))).toHaveLength(10);
    const read = () => story.user.insist('GET', `/orchestrations/runs/${body.run_id}`);
    for (const again of await Promise.all([read(), read(), read()])) {
      expect(again.body.shared_state).toEqual(body.shared_state);
      expect(again.body.warnings).toEqual(body.warnings);
    }
  });

  test('of a run and its tasks cuts the outputs, and says so', async () => {
    const { body } = await runSteps(story.user, many(10));
    const run = await story.user.insist('GET', `/runs/${body.run_id}`);
    const list = await story.user.insist('GET', `/runs/${body.run_id}/tasks`);
    for (const { tasks } of [run.body, list.body]) {
      expect(tasks).toHaveLength(10);
      for (const { output } of tasks) expect(output).toMatch(/^x{209715}… \(cut: it has 1000000 bytes\)$/);
    }
  });

  test('leaves what is not too much as it is', async () => {
    const { body } = await runSteps(story.user, many(8));
    expect(body.warnings).toEqual([]);
    const { tasks } = (await story.user.insist('GET', `/runs/${body.run_id}/tasks`)).body;
    for (const { output } of tasks) expect(output).toBe('x'.repeat(1_000_000));
  });

  test('shows as many of the people that are waited for as it holds; those that are not shown come later', async () => {
    const ask = (n: number) => ({ id: `ask${n}`, type: 'human', input_keys: ['made0'], next_step_id: null });
    const asks = Array.from({ length: 12 }, (_unused, n) => ask(n));
    const all = { id: 'all', type: 'parallel', parallel_branches: asks.map(({ id }) => [id]), next_step_id: null };
    const id = await define(story.user, [{ ...make(0), next_step_id: 'all' }, all, ...asks]);
    const started = await story.user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go.' });
    const read = async () => (await story.user.insist('GET', `/orchestrations/runs/${started.body.run_id}`)).body;
    const gates = story.orchflow.db.selectFrom('gates').select('gate_id').where('run_id', '=', started.body.run_id);
    await until(async () => (await gates.execute()).length === asks.length, 'all wait');
    const { waiting, warnings } = await read();
    expect(waiting).toHaveLength(8);
    expect(warnings).toEqual(['4 more wait and are not shown: an answer has 8 MiB of them at most.']);
    const [first] = waiting;
    expect((await resume(story.user, started, 'Yes.', { gate_id: first.gate_id, step_id: first.step_id })).status).toBe(
      200,
    );
    await until(async () => (await read()).warnings[0]?.startsWith('3 more'), 'one is answered');
    await story.user.post(`/orchestrations/runs/${started.body.run_id}/cancel`, {});
  });
});
