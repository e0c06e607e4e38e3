import { expect, test } from 'vitest';
import type { ModelCall, Reply } from '../fakes/model.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** How agents' outputs are judged, done again, and handed to a person when that does not help. */

const story = useStory();

const fails = (feedback: string) => ({ passed: false, score: 0.2, feedback });

/** Only the first task is judged badly; each of its attempts writes another draft. */
function startWithEvaluations(...replies: Parameters<typeof inTurn>) {
  const next = inTurn(...replies);
  return story.start({
    evaluate: ({ task_id }: ModelCall) => (task_id === 'T1' ? next() : undefined),
    execute: ({ task_id }: ModelCall) => `Draft ${story.prompts(task_id!).length} of ${task_id}.`,
  });
}

test('an output that is not good enough is done again with the feedback', async () => {
  const run = await startWithEvaluations(fails('Name the sources.'));
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({
    attempts: 2,
    output: 'Draft 2 of T1.',
    evaluation: { passed: true, score: 0.9 },
    gate: null,
  });
  expect(
    story.model
      .callsFor('evaluate')
      .filter((call) => call.task_id === 'T1')
      .map((call) => call.prompt),
  ).toEqual([expect.stringContaining('Draft 1 of T1.'), expect.stringContaining('Draft 2 of T1.')]);
  const [first, second] = story.prompts('T1');
  expect(first).not.toContain('<feedback>');
  expect(second).toContain('<draft>\nDraft 1 of T1.\n</draft>');
  expect(second).toContain('<feedback>\nName the sources.\n</feedback>');
});

const threeTimes = [fails('Name the sources.'), fails('Still no sources.'), fails('Not one source.')];

async function untilEscalated() {
  const run = await startWithEvaluations(...threeTimes);
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]).toMatchObject({
    attempts: 3,
    output: 'Draft 3 of T1.',
    evaluation: { passed: false, feedback: 'Not one source.' },
    gate: {
      kind: 'escalation',
      reason: 'The evaluation says: Not one source.',
      decisions: ['approve', 'edit', 'reject', 'retry'],
    },
  });
  return run;
}

test('after three bad evaluations a person decides, and may send the output', async () => {
  const run = await untilEscalated();
  await run.complete('T1', { output: 'My own research.' });
  expect((await run.until('completed')).tasks[0]).toMatchObject({
    attempts: 3,
    output: 'My own research.',
    gate: { decision: 'approve' },
  });
});

test('after three bad evaluations a person may take the draft as it is', async () => {
  const run = await untilEscalated();
  await run.complete('T1', { decision: 'approve' });
  expect((await run.until('completed')).tasks[0]).toMatchObject({ attempts: 3, output: 'Draft 3 of T1.' });
});

test('after three bad evaluations a person may have it tried again', async () => {
  const run = await untilEscalated();
  await run.complete('T1', { decision: 'retry' });
  expect((await run.until('completed')).tasks[0]).toMatchObject({
    attempts: 4,
    output: 'Draft 4 of T1.',
    evaluation: { passed: true },
  });
});

test('after three bad evaluations a person may have it redone with feedback of their own', async () => {
  const run = await untilEscalated();
  expect(await run.complete('T1', { decision: 'reject' })).toMatchObject({ status: 422 });
  await run.complete('T1', { decision: 'reject', output: 'Use the survey of May.' });
  expect((await run.until('completed')).tasks[0]).toMatchObject({ attempts: 4, output: 'Draft 4 of T1.' });
  const redone = story.prompts('T1')[3];
  expect(redone).toContain('Draft 3 of T1.');
  expect(redone).toContain('Use the survey of May.');
});

test('a person who has it tried again is asked again when it fails three more times', async () => {
  const run = await startWithEvaluations(...threeTimes, ...threeTimes);
  const first = (await run.untilWaiting('T1')).tasks[0]!.gate!;
  await run.complete('T1', { decision: 'retry', gate_id: first.gate_id });
  const again = await run.until((view) => view.waiting_tasks.includes('T1') && view.tasks[0]!.attempts === 6);
  expect(again.tasks[0]!.gate).toMatchObject({ kind: 'escalation', status: 'open' });
  expect(await run.complete('T1', { output: 'Late.', gate_id: first.gate_id })).toMatchObject({ status: 409 });
  await run.complete('T1', {});
  await run.until('completed');
});

const unread = 'The evaluation could not be read, so nobody has judged this output.';

test('an output whose evaluation cannot be read has not passed: a person decides', async () => {
  const run = await startWithEvaluations('It is fine, I guess.', { passed: 'perhaps' }, '{"passed": true, "score": ');
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]).toMatchObject({
    attempts: 1,
    output: 'Draft 1 of T1.',
    evaluation: { passed: false, score: null, feedback: unread },
    gate: { kind: 'escalation', reason: unread, decisions: ['approve', 'edit', 'reject', 'retry'] },
  });
  expect(story.model.callsFor('evaluate').filter((call) => call.task_id === 'T1')).toHaveLength(3);
  await run.complete('T1', { decision: 'approve' });
  expect((await run.until('completed')).tasks[0]).toMatchObject({ attempts: 1, output: 'Draft 1 of T1.' });
});

test('an output that could not be judged is done again when a person wants it, without feedback', async () => {
  const run = await startWithEvaluations('Hm.', 'Well.', 'Who knows?');
  await run.untilWaiting('T1');
  await run.complete('T1', { decision: 'retry' });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 2, output: 'Draft 2 of T1.', evaluation: { passed: true } });
  expect(story.prompts('T1')[1]).not.toContain('<feedback>');
});

test.each<[string, Reply]>([
  ['a score on another scale', { passed: false, score: 3, feedback: 'Off the subject.' }],
  ['a score as a text', { passed: false, score: '0.2', feedback: 'Off the subject.' }],
  ['a verdict as a text', { passed: 'false', score: 0.1, feedback: 'Off the subject.' }],
  ['another name for the feedback', { passed: 'No', reason: ['Off the subject.'] }],
  [
    'an example in its thoughts',
    `<think>{"passed": true, "score": 1, "feedback": "Good."}</think>{"passed": false, "feedback": "Off the subject."}`,
  ],
  [
    'an example before it',
    `The form is {"passed": true, "score": 1, "feedback": "…"}: {"passed": false, "feedback": "Off the subject."} As in [1].`,
  ],
  ['an object around it', { evaluation: { passed: false, feedback: 'Off the subject.' } }],
])('"not passed" stands with %s, and is paid for once', async (_, reply) => {
  const run = await startWithEvaluations(reply);
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 2, evaluation: { passed: true } });
  expect(done.warnings).toEqual([]);
  expect(story.prompts('T1')[1]).toContain('<feedback>\nOff the subject.\n</feedback>');
  expect(story.model.callsFor('evaluate').filter((call) => call.task_id === 'T1')).toHaveLength(2);
});

test('feedback of any length and alphabet is passed on whole', async () => {
  const feedback = `${'x'.repeat(299)}😀${'y'.repeat(3_000)} the end.`;
  const run = await startWithEvaluations(
    fails(feedback),
    fails(`${'z'.repeat(478)}😀 or so.`),
    fails(`${'z'.repeat(478)}😀 or so.`),
  );
  const waiting = await run.untilWaiting('T1');
  expect(story.prompts('T1')[1]).toContain(feedback);
  expect(waiting.tasks[0]!.gate!.reason).toMatch(/^The evaluation says: z+/);
  await run.complete('T1', {});
  await run.until('completed');
});

test('what a model writes that Postgres cannot store does not stop the run', async () => {
  const run = await startWithEvaluations('{"passed": false, "score": 0.1, "feedback": "Bad \\u0000 and \\ud83d."}');
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 2, output: 'Draft 2 of T1.' });
  expect(story.prompts('T1')[1]).toContain('Bad ');
});
