/** The orchestration that clients run, with steps of most types, and what it must have done in which order. */

const step = (id: string, type: string, next_step_id: string | null, more: object = {}) => ({
  id,
  name: id,
  type,
  next_step_id,
  ...more,
});

/** Rounds that the loop makes before each review. */
const rounds = 2;

export const definition = {
  id: 'chaos',
  name: 'Chaos',
  entry_step_id: 'gather',
  max_total_cost_usd: 50,
  state_schema: { goal: { type: 'string' }, rounds: { type: 'number', default: 0 } },
  steps: [
    step('gather', 'agent', 'fork', {
      agent: { name: 'research' },
      allowed_tools: ['run_javascript', 'http_request'],
      output_key: 'facts',
    }),
    step('fork', 'parallel', 'join', { parallel_branches: [['left'], ['order'], ['ask']] }),
    step('left', 'llm', 'join', { output_key: 'left' }),
    step('order', 'tool', 'join', { forced_tool: 'http_request', output_key: 'order' }),
    step('ask', 'human', 'join', { human_fields: [{ name: 'audience' }], output_key: 'ask' }),
    step('join', 'merge', 'polish', {
      merge_strategy: 'concat',
      input_keys: ['ask', 'order', 'left'],
      output_key: 'joined',
    }),
    step('polish', 'loop', 'review', { loop_count: rounds, loop_step_ids: ['draft', 'count'] }),
    step('draft', 'llm', null, { input_keys: ['joined'], output_key: 'draft' }),
    step('count', 'transform', null, {
      transform_code: '(Array.isArray(state.rounds) ? state.rounds.at(-1).result : state.rounds) + 1',
      output_key: 'rounds',
    }),
    step('review', 'human', 'decide', {
      human_fields: [{ name: 'decision', type: 'select', options: 'approve,again' }, { name: 'notes' }],
      output_key: 'review',
    }),
    step('decide', 'if_else', null, {
      if_condition: 'state.review.decision === "approve"',
      if_true_step_id: 'publish',
      if_false_step_id: 'polish',
    }),
    step('publish', 'tool', 'close', {
      forced_tool: 'http_request',
      require_approval: true,
      max_turns: 5,
      output_key: 'receipt',
    }),
    step('close', 'transform', 'done', {
      transform_code: '({ rounds: state.rounds.at(-1).result, receipt: state.receipt, facts: state.facts })',
      output_key: 'summary',
    }),
    step('done', 'end', null),
  ],
};

export type Execution = { path: string; step_id: string };

/** All executions of its steps, in their order, when the reviews were answered so; up to the review that is open. */
export function executionsOf(reviews: string[]): Execution[] {
  const all: Execution[] = [];
  let n = 0;
  const follow = (step_id: string) => all.push({ path: String((n += 1)), step_id });
  const inside = (line: string, position: number, step_id: string) =>
    all.push({ path: `${n}.${line}/${position}`, step_id });
  follow('gather');
  follow('fork');
  ['left', 'order', 'ask'].forEach((step_id, branch) => inside(String(branch), 1, step_id));
  follow('join');
  for (let review = 0; review <= reviews.length; review += 1) {
    follow('polish');
    for (let round = 1; round <= rounds; round += 1) {
      inside(String(round), 1, 'draft');
      inside(String(round), 2, 'count');
    }
    follow('review');
    if (review === reviews.length) break;
    follow('decide');
    if (reviews[review] === 'again') continue;
    for (const step_id of ['publish', 'close', 'done']) follow(step_id);
    break;
  }
  return all;
}

/** True when the one must be done before the other begins. Branches are one beside the other; what holds steps ends after them. */
export function comesBefore(one: Execution, other: Execution, all: Execution[]): boolean {
  const isInside = (inner: string, outer: string) => inner.startsWith(`${outer}.`);
  const bothInFork = one.path.startsWith('2.') && other.path.startsWith('2.');
  return all.indexOf(one) < all.indexOf(other) && !isInside(other.path, one.path) && !bothInFork;
}
