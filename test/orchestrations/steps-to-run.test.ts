import { expect, test } from 'vitest';
import type { SourceStep } from '../../db/orchestration-reruns.ts';
import { whatStands } from '../../src/orchestrations/standing.ts';
import { stepsToRun } from '../../src/orchestrations/steps-to-run.ts';
import type { StepOutline } from '../../workflows/contract/definition.ts';

/** Which steps may be executed when a run is done again from one of its steps: whose tools and models must be there. */

const step = (id: string, next_step_id: string | null, more: object = { type: 'print' }) =>
  ({ id, next_step_id, ...more }) as StepOutline;

const steps = [
  step('first', 'loop'),
  step('loop', 'fork', { type: 'loop', loop_count: 2, loop_step_ids: ['a', 'b'] }),
  step('a', null),
  step('b', null),
  step('fork', 'last', { type: 'parallel', parallel_branches: [['c'], ['e', 'f'], ['g']] }),
  step('c', 'd'),
  step('d', 'last'),
  step('e', null),
  step('f', null),
  step('g', 'last', { type: 'loop', loop_count: 2, loop_step_ids: ['h'] }),
  step('h', null),
  step('last', null),
];

/** `3.0/1 c`, completed unless it says otherwise, and followed by what follows. */
function execution(line: string): SourceStep {
  const [path, step_id, status = 'completed'] = line.split(' ') as [string, string, SourceStep['status']?];
  const { type, next_step_id } = steps.find(({ id }) => id === step_id)!;
  const mark = { step_id, type, path, output_key: null, writes: {}, next: next_step_id };
  return { id: path, status, output_id: null, step: mark };
}

const loop = ['1 first', '2 loop', '2.1/1 a', '2.1/2 b', '2.2/1 a', '2.2/2 b'];
const branches = ['3.0/1 c', '3.0/2 d', '3.1/1 e', '3.1/2 f', '3.2/1 g', '3.2/1.1/1 h', '3.2/1.2/1 h'];
const all = [...loop, '3 fork', ...branches, '4 last'];
const unfinished = [
  ...loop,
  '3 fork running',
  '3.0/1 c',
  '3.1/1 e',
  '3.1/2 f failed',
  '3.2/1 g running',
  '3.2/1.1/1 h',
];

test.each([
  [all, '4', 'last'],
  [all, '3', 'c d e f fork g h last'],
  [all, '3.0/1', 'c d last'],
  [all, '3.0/2', 'd last'],
  [all, '3.1/1', 'e f last'],
  [all, '3.1/2', 'f last'],
  [all, '3.2/1.1/1', 'h last'],
  [all, '2.1/2', 'a b c d e f fork g h last'],
  [all, '2.2/1', 'a b c d e f fork g h last'],
  [all, '2.2/2', 'b c d e f fork g h last'],
  [unfinished, '3.0/1', 'c d f g h last'],
  [unfinished, '3.1/2', 'd f g h last'],
  [unfinished.slice(0, -2), '3.1/1', 'd e f g h last'],
])('case %#', (executions, from, expected) => {
  const source = { executions: executions.map(execution), rerun_from: null, definition: { steps } };
  const found = stepsToRun(source, whatStands(source, from), from);
  expect([...found].toSorted().join(' ')).toBe(expected);
});
