import { describe, expect, test } from 'vitest';
import type { SourceStep } from '../../db/orchestration-reruns.ts';
import {
  editsThatStand,
  stateBefore,
  whatStands,
  withAnswers,
  type Source,
} from '../../src/orchestrations/standing.ts';
import type { TaskStatus } from '../../workflows/contract/states.ts';

/** What of a run stands when it is done again from one of its steps, without a server: by the paths of its executions alone. */

const types = { loop: 'loop', inner: 'loop', fork: 'parallel', split: 'parallel' } as const;
const definition: Source['definition'] = {
  steps: [
    ...Object.entries(types).map(([id, type]) => ({ id, type, next_step_id: null })),
    ...['one', 'two', 'a', 'b', 'c', 'last'].map((id) => ({ id, type: 'print' as const, next_step_id: null })),
  ],
};

/** `5.1/1 write`, completed unless it says otherwise: `5.1/1 write failed`. Each writes its path under its id. */
function execution(line: string): SourceStep {
  const [path, step_id, status = 'completed'] = line.split(' ') as [string, string, TaskStatus?];
  const type = types[step_id as keyof typeof types] ?? 'print';
  const writes = { [step_id]: { value: path } };
  return { id: path, status, output_id: null, step: { step_id, type, path, output_key: step_id, writes, next: null } };
}

function source(executions: string[], rerun_from: Partial<Source['rerun_from']> = null): Source {
  return {
    executions: executions.map(execution),
    rerun_from: rerun_from && { steps: {}, edits: {}, ...rerun_from },
    definition,
  };
}

const loopInBranch =
  '1 one, 2 fork, 2.0/1 a, 2.1/1 loop, 2.1/1.1/1 b, 2.1/1.1/2 c, 2.1/1.2/1 b, 2.1/1.2/2 c, 2.1/2 two, 2.0/2 c, 3 last'.split(
    ', ',
  );
const branchInLoop =
  '1 loop, 1.1/1 split, 1.1/1.0/1 a, 1.1/1.1/1 b, 1.1/2 c, 1.2/1 split, 1.2/1.0/1 a, 1.2/1.1/1 b, 1.2/2 c, 2 last'.split(
    ', ',
  );
const loopOfThree = ['1 one', '2 loop', '2.1/1 a', '2.1/2 b', '2.2/1 a', '2.2/2 b', '2.3/1 a', '2.3/2 b', '3 last'];
/** Of `loopOfThree`, done again from `2.3/1` and not begun. */
const pending = source(['1 one', '2.1/1 a', '2.1/2 b', '2.2/1 a', '2.2/2 b'], {
  steps: { 2: 'loop', '2.3/1': 'a' },
  edits: { 1: {}, '2.2/1': {}, '2.3/1': {} },
});
/** A loop in a branch, done again from its second iteration and not begun, while another branch was under way. */
const pendingInBranch = source(['1 one', '2.0/1 a', '2.1/1.1/1 b', '2.1/1.1/2 c'], {
  steps: { 2: 'fork', '2.0/2': 'c', '2.1/1': 'loop', '2.1/1.2/1': 'b' },
  edits: { '2.0/1': {}, '2.1/1.2/1': {} },
});

describe.each<[string, Source, [from: string, standing: string, steps: string, missing?: string][]]>([
  [
    'a loop in a branch',
    source(loopInBranch),
    [
      ['1', '', '1'],
      ['2', '1', '2'],
      ['2.0/1', '1 2.1/1 2.1/1.1/1 2.1/1.1/2 2.1/1.2/1 2.1/1.2/2 2.1/2', '2 2.0/1'],
      ['2.1/1', '1 2.0/1 2.0/2', '2 2.1/1'],
      ['2.1/1.1/2', '1 2.0/1 2.1/1.1/1 2.0/2', '2 2.1/1 2.1/1.1/2'],
      ['2.1/1.2/1', '1 2.0/1 2.1/1.1/1 2.1/1.1/2 2.0/2', '2 2.1/1 2.1/1.2/1'],
      ['2.1/2', '1 2.0/1 2.1/1 2.1/1.1/1 2.1/1.1/2 2.1/1.2/1 2.1/1.2/2 2.0/2', '2 2.1/2'],
      [
        '3',
        loopInBranch
          .slice(0, -1)
          .map((line) => line.split(' ')[0])
          .join(' '),
        '3',
      ],
    ],
  ],
  [
    'branches in a loop',
    source(branchInLoop),
    [
      ['1.1/1.1/1', '1.1/1.0/1', '1 1.1/1 1.1/1.1/1'],
      ['1.2/1.0/1', '1.1/1 1.1/1.0/1 1.1/1.1/1 1.1/2 1.2/1.1/1', '1 1.2/1 1.2/1.0/1'],
      ['1.2/2', '1.1/1 1.1/1.0/1 1.1/1.1/1 1.1/2 1.2/1 1.2/1.0/1 1.2/1.1/1', '1 1.2/2'],
    ],
  ],
  [
    'tries that have failed inside of a loop',
    source(['1 one', '2 loop failed', '2.1/1 a failed', '2 loop', '2.1/1 a', '2.2/1 a', '3 last failed']),
    [
      ['2.1/1', '1', '2 2.1/1'],
      ['2.2/1', '1 2.1/1', '2 2.2/1'],
      ['3', '1 2 2.1/1 2.2/1', '3'],
    ],
  ],
  [
    'what was not completed before',
    source(['1 one failed', '2 fork failed', '2.0/1 a', '2.0/2 b failed', '2.1/1 c skipped']),
    [
      ['2.0/2', '2.0/1', '2 2.0/2 2.1/1', '1'],
      ['2.1/1', '2.0/1', '2 2.0/2 2.1/1', '1'],
    ],
  ],
  [
    'a rerun that has not come to its loop',
    pending,
    [
      ['1', '', '1'],
      ['2.1/1', '1', '2 2.1/1'],
      ['2.1/2', '1 2.1/1', '2 2.1/2'],
      ['2.2/2', '1 2.1/1 2.1/2 2.2/1', '2 2.2/2'],
    ],
  ],
  [
    'a rerun that has come to it meanwhile',
    source([...loopOfThree.slice(0, 1), ...loopOfThree.slice(2, 6), '2 loop running', '2.3/1 a', '2.3/2 b running'], {
      steps: { 2: 'loop', '2.3/1': 'a' },
    }),
    [
      ['2.2/1', '1 2.1/1 2.1/2', '2 2.2/1'],
      ['2.3/2', '1 2.1/1 2.1/2 2.2/1 2.2/2 2.3/1', '2 2.3/2'],
    ],
  ],
  [
    'a rerun that has not come to its loop in a branch',
    pendingInBranch,
    [
      ['2.0/1', '1 2.1/1.1/1 2.1/1.1/2', '2 2.0/1 2.1/1 2.1/1.2/1'],
      ['2.1/1.1/1', '1 2.0/1', '2 2.0/2 2.1/1 2.1/1.1/1'],
      ['2.1/1.1/2', '1 2.0/1 2.1/1.1/1', '2 2.0/2 2.1/1 2.1/1.1/2'],
    ],
  ],
])('%s', (_, of, cases) => {
  test.each(cases)('from %s', (from, standing, steps, missing = '') => {
    const found = whatStands(of, from);
    const paths = (executions: SourceStep[]) => executions.map(({ step }) => step.path).join(' ');
    expect([paths(found.standing), paths(found.missing)]).toEqual([standing, missing]);
    expect(Object.keys(found.steps).toSorted().join(' ')).toBe(steps);
  });
});

test.each([
  [pending, '1', '1'],
  [pending, '2.1/1', '1'],
  [pending, '2.2/1', '1 2.2/1'],
  [pending, '2.2/2', '1 2.2/1'],
  [pendingInBranch, '2.0/1', '2.0/1 2.1/1.2/1'],
  [pendingInBranch, '2.1/1.1/1', '2.0/1'],
])('edits of a rerun that has not begun: case %#', (of, from, edited) => {
  const stands = editsThatStand(of, from).map(([path]) => path);
  expect(stands.toSorted().join(' ')).toBe(edited);
});

test('the state of the run itself: what it began with, then edits and writes of its own line, in their order', () => {
  const first = { one: { value: 'first' }, tone: { value: 'dry' } };
  const edits = {
    '2.1/1': { tone: { value: 'in the loop' } },
    1: { one: { value: 'written over' }, tone: { value: 'witty' } },
    10: { one: { value: 'edited' } },
  };
  const before = (standing: string[], from: string) => stateBefore(first, standing.map(execution), edits, from);
  expect(before([], '1')).toEqual({ one: { value: 'written over' }, tone: { value: 'witty' } });
  const state = { one: { value: '1' }, tone: { value: 'witty' } };
  expect(before(['1 one', '2.1/1 a'], '2.2/1')).toEqual(state);
  // Of the tenth after the second, whatever the order in which they were begun.
  expect(before(['1 one', '9 two', '2 two'], '10')).toEqual({
    ...state,
    one: { value: 'edited' },
    two: { value: '9' },
  });
});

test('an answer that was accepted is one of a completed step, unless another try has taken it over', () => {
  const steps = [{ id: 'ask', type: 'human' as const, next_step_id: 'then' }];
  const tries = (...statuses: TaskStatus[]): Source => ({
    executions: statuses.map((status, n) => {
      const step = { step_id: 'ask', type: 'human' as const, path: '1', output_key: 'ask', writes: {}, next: null };
      return { id: `ask.${n + 1}`, status, output_id: n === 0 ? 'gate_1' : null, step };
    }),
    rerun_from: null,
    definition: { steps },
  });
  for (const status of ['running', 'skipped', 'cancelled'] as const) {
    const { executions } = withAnswers(tries(status, 'skipped'));
    const writes = { ask: { json: 'gate_1' }, human_response: { json: 'gate_1' } };
    expect(executions[0]).toMatchObject({ id: 'ask.1', status: 'completed', step: { writes, next: 'then' } });
    expect(executions[1]).toMatchObject({ status: 'skipped', step: { writes: {} } });
  }
  const over = tries('skipped', 'completed');
  expect(withAnswers(over)).toEqual(over);
});
