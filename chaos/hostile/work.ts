import { limits } from '../limits.ts';
import type { Attack } from './tenant.ts';

/** Runs that want all of a worker: its places, its threads, its memory, or its time. */

const long = (text: string, length: number) => text.padEnd(length, 'o');

/** More calls than one account has places, to a model that never answers. */
const hangingCalls: Attack = async ({ startSteps, random }) => {
  const calls = Array.from({ length: 40 }, (_, n) => ({ id: `ask${n}`, type: 'llm', next_step_id: null }));
  const branches = calls.map(({ id }) => [id]);
  const all = { id: 'all', type: 'parallel', parallel_branches: branches, next_step_id: null };
  await startSteps([all, ...calls], 2, random.pick(['hang', 'stall'] as const));
};

/** Runs that do not even come to a plan, or to one that has no end. */
const hangingPlans: Attack = async ({ startGoal, random, atOnce }) => {
  await atOnce(3, () => startGoal(random.pick(['hang', 'stall', 'flood', 'fence', 'brackets'] as const)));
};

/** Code that never ends, wherever there is code. */
const endlessScripts: Attack = async ({ startSteps, random }) => {
  const step = random.pick([
    { type: 'transform', transform_code: 'while (true) {}' },
    { type: 'if_else', if_condition: '(() => { for (;;); })()' },
    { type: 'switch', switch_expression: '/^(a+)+$/.test("a".repeat(40) + "b")', switch_cases: { yes: null } },
    { type: 'transform', transform_code: 'let all = ["x"]; for (;;) all = [...all, ...all]; return all' },
    { type: 'transform', transform_code: '"x".repeat(2 ** 29) + state' },
  ]);
  await startSteps([{ id: 'loop', timeout_seconds: 1, ...step }], random.pick([2, 8]));
};

/** State that doubles, up to what a value may be, and beyond. */
const growingState: Attack = async ({ startSteps, random }) => {
  const times = random.pick([2, 20]);
  const print_content = '{state.user_input}'.repeat(2_500);
  const prints = Array.from({ length: times }, (_, n) => ({
    id: `print${n}`,
    type: 'print',
    print_content,
    output_key: `print${n}`,
  }));
  const keys = prints.map(({ output_key }) => output_key);
  const merge = { id: 'merge', type: 'merge', merge_strategy: 'concat', input_keys: keys, output_key: 'all' };
  const made = {
    id: 'made',
    type: 'transform',
    transform_code: `"x".repeat(${limits.stateValue * 2})`,
    output_key: 'made',
  };
  await startSteps(random.pick([[...prints, merge], [made]]));
};

/** Texts that were once read in a time that grows with the square of their length. */
const slowTexts: Attack = async ({ startSteps, random }) => {
  const length = limits.stateValue - 1_000;
  const text = random.pick([
    `"\`\`\`json\\n" + "\\n".repeat(${length})`,
    `"\`\`\`\\n".repeat(${length} / 4)`,
    `'{"['.repeat(${length} / 3)`,
    `"{state.text.".repeat(${length} / 12)`,
  ]);
  await startSteps([
    { id: 'make', type: 'transform', transform_code: text, output_key: 'text' },
    { id: 'extract', type: 'extract_json', input_keys: ['text'], output_key: 'found' },
    { id: 'print', type: 'print', print_content: `{state.text}${'{state.text.a.'.repeat(3_000)}`, output_key: 'shown' },
    { id: 'merge', type: 'merge', merge_strategy: 'dict', input_keys: ['text', 'found'], output_key: 'all' },
  ]);
};

/** Dozens of people at once, of names and ids as long as they may be. Some are answered; the others wait for ever. */
const manyGates: Attack = async ({ startSteps, random, get, post, pause }) => {
  const asks = Array.from({ length: 40 }, (_, n) => ({
    id: long(`ask${n}`, 48),
    name: long(`Ask ${n} `, 200),
    type: 'human',
    next_step_id: null,
    human_fields: [{ name: 'said' }],
  }));
  const all = { id: 'all', type: 'parallel', parallel_branches: asks.map(({ id }) => [id]), next_step_id: null };
  const [run_id] = await startSteps([all, ...asks]);
  if (!run_id) return;
  await pause(random.between(1_000, 4_000));
  const { body } = await get(`/runs/${run_id}`);
  for (const task of (body?.tasks ?? []).slice(0, 5)) {
    const gate_id = task.gate?.gate_id;
    if (!gate_id) continue;
    const said = { output: JSON.stringify({ said: long('I say ', 10_000) }), gate_id };
    await post(`/runs/${run_id}/tasks/${task.id}/complete`, said, [200, 409], {
      operation: { op: 'complete', run_id, task_id: task.id, gate_id, decision: 'approve', output: said.output },
    });
  }
};

/** As many runs as it may have, and more; then room for others. */
const manyRuns: Attack = async ({ startGoal, random, atOnce, get, cancel, pause }) => {
  await atOnce(24, () => startGoal('hang', { ask_me_about: random.chance(0.7) ? ['what there is'] : [] }));
  await pause(random.between(500, 3_000));
  const { body } = await get('/runs?limit=40');
  const ended = ['completed', 'failed', 'cancelled'];
  const open = (body?.runs ?? []).filter(({ status }: { status: string }) => !ended.includes(status));
  for (const { run_id } of open.filter(() => random.chance(0.8))) await cancel(run_id);
};

/** A run that fails is tried again, and again; one that has ended is done again, and cancelled twice at once. */
const againAndAgain: Attack = async ({ startSteps, startGoal, random, post, pause, cancel }) => {
  const [failed] = await startSteps([{ id: 'fail', type: 'transform', transform_code: 'throw new Error("No.")' }]);
  const run_id = await startGoal('plain');
  for (let n = 0; n < 3; n += 1) {
    await pause(random.between(300, 1_500));
    const operation = { op: 'retry' as const, run_id: failed!, n };
    const path = `/orchestrations/runs/${failed}/retry?wait=0`;
    if (failed) await post(path, undefined, [200, 202, 409, 429], { operation });
    if (run_id) await post(`/runs/${run_id}/rerun`, { from_task: 'T2' }, [201, 409, 429]);
  }
  if (run_id) await Promise.all([cancel(run_id), cancel(run_id)]);
};

export const work = {
  hangingCalls,
  hangingPlans,
  endlessScripts,
  growingState,
  slowTexts,
  manyGates,
  manyRuns,
  againAndAgain,
};
