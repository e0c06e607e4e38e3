import { describe, expect, test } from 'vitest';
import type { ModelCall, Reply } from '../fakes/model.ts';
import { runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** Agents with tools at servers that do as public reports say: the loop works, and nothing is paid for twice as it was. */

const story = useStory();

const code = (source: string) => ({ name: 'run_javascript', arguments: { code: source } });
const json = { 'content-type': 'application/json' };
const silence: Reply = {
  status: 200,
  headers: json,
  body: { model: 'm', content: [], stop_reason: 'end_turn', usage: { input_tokens: 9, output_tokens: 1 } },
};
const malformed: Reply = {
  status: 200,
  headers: json,
  body: {
    candidates: [{ content: { parts: [] }, finishReason: 'MALFORMED_FUNCTION_CALL' }],
    usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 1 },
  },
};

/** Starts a run whose first task is done by an agent with a tool, at a server that answers it like this. */
async function start(vendor: 'openai' | 'anthropic' | 'gemini', answer: (call: ModelCall, turn: number) => Reply) {
  const provider_id = await story.user.addProvider(story.model, vendor);
  const agents = [{ name: 'researcher', tools: ['run_javascript'] }];
  let turn = 0;
  const execute = (call: ModelCall) => (call.task_id === 'T1' ? answer(call, (turn += 1)) : undefined);
  return story.start({ execute }, { provider_id, agents });
}

const callsOfT1 = () => story.model.callsFor('execute').filter(({ task_id }) => task_id === 'T1');
const bodies = () => callsOfT1().map(({ body, headers }) => JSON.stringify([body, headers['idempotency-key']]));

/** No two requests were the same, and each has a key of its own where keys are sent. */
function expectNoneTwice() {
  expect(new Set(bodies()).size).toBe(callsOfT1().length);
}

describe('an agent that ends without a word after its tools', () => {
  let run: Awaited<ReturnType<typeof start>>;

  test('is told to go on, once, and may call another tool', async () => {
    run = await start('anthropic', (_, turn) => {
      if (turn === 1) return { call: [code('6 * 7')] };
      if (turn === 2) return silence;
      return turn === 3 ? { call: [code('1 + 1')] } : 'It is 42.';
    });
    const { tasks, usage } = await run.until('completed');
    expect(tasks[0]).toMatchObject({ output: 'It is 42.', attempts: 1, usage: { llm_calls: 5 } });
    expect(usage.llm_calls).toBe(2 + 5 + 2 * 2 + 1);
    expect(callsOfT1()).toHaveLength(4);
    expect(callsOfT1()[2]!.system).toContain('Your last answer cannot be used: it was empty.');
    expect(callsOfT1()[3]!.system).not.toContain('cannot be used');
    expectNoneTwice();
  });

  test('is not asked the first question again, when the second one fails and is tried again', async () => {
    run = await start('anthropic', (_, turn) => {
      if (turn === 1) return { call: [code('6 * 7')] };
      if (turn === 2) return silence;
      return turn === 3 ? { status: 500 } : 'It is 42.';
    });
    const { tasks } = await run.until('completed');
    expect(tasks[0]).toMatchObject({ output: 'It is 42.', usage: { llm_calls: 4 } });
    const wasTold = callsOfT1().map(({ system }) => system.includes('cannot be used'));
    expect(wasTold).toEqual([false, false, true, true]);
  });

  test('twice, is taken at what it said before', async () => {
    run = await start('anthropic', (_, turn) =>
      turn === 1 ? { text: 'It will be 42.', call: [code('6 * 7')] } : silence,
    );
    const { tasks, warnings } = await run.until('completed');
    expect(tasks[0]).toMatchObject({ output: 'It will be 42.', attempts: 1 });
    expect(warnings).toContain('T1 ended without an answer: what it said before it called tools was taken.');
    expect(callsOfT1()).toHaveLength(3);
    expectNoneTwice();
  });

  test('twice, and has said nothing before, waits for a person', async () => {
    run = await start('anthropic', (_, turn) => (turn === 1 ? { call: [code('6 * 7')] } : silence));
    const { tasks } = await run.until('waiting_human');
    expect(tasks[0]!.gate).toMatchObject({ reason: expect.stringContaining('ended without an answer') });
    expect(callsOfT1()).toHaveLength(3);
  });
});

test('a call that Gemini could not form is asked for again with that said, and then a person is asked', async () => {
  const run = await start('gemini', (_, turn) => {
    if (turn === 1) return malformed;
    return turn === 2 ? { call: [code('6 * 7')] } : 'It is 42.';
  });
  const { tasks } = await run.until('completed');
  expect(tasks[0]).toMatchObject({ output: 'It is 42.', usage: { llm_calls: 4 } });
  expect(callsOfT1()[1]!.system).toContain('a form that cannot be read');
  expectNoneTwice();

  story.model.reset();
  const hopeless = await start('gemini', () => malformed);
  const waiting = await hopeless.until('waiting_human');
  expect(waiting.tasks[0]!.gate).toMatchObject({ reason: expect.stringContaining('MALFORMED_FUNCTION_CALL') });
  expect(callsOfT1()).toHaveLength(2);
});

test.each(['openai', 'anthropic', 'gemini'] as const)(
  '%s: a model that calls too many tools at once is told so, and none of them is called',
  async (vendor) => {
    const calls = Array.from({ length: 200 }, (_, index) => ({
      name: 'run_javascript',
      arguments: { code: `${index}` },
    }));
    const run = await start(vendor, (_, turn) => (turn === 1 ? { call: calls } : 'Done without.'));
    const done = await run.until('completed');
    expect(done.tasks[0]).toMatchObject({ attempts: 1, output: 'Done without.' });
    expect(done.usage.llm_calls).toBe(story.model.calls.length);
    expect(callsOfT1()[1]!.system).toContain('Call at most 32');
    const { db } = story.orchflow;
    expect(await db.selectFrom('tool_calls').selectAll().where('run_id', '=', run.run_id).execute()).toEqual([]);
  },
);

test('what a server wants back comes back from the journal, and ids that it gives twice are told apart', async () => {
  const tool_call = (id: string, source: string) => ({
    id,
    type: 'function',
    function: { name: 'run_javascript', arguments: JSON.stringify({ code: source }) },
    extra_content: { google: { thought_signature: `signed ${source}` } },
  });
  const calling = (...sources: string[]): Reply => ({
    status: 200,
    headers: json,
    body: {
      choices: [
        {
          message: {
            content: null,
            reasoning_content: `I need ${sources.join()}.`,
            tool_calls: sources.map((source) => tool_call('same', source)),
          },
          finish_reason: 'tool_calls',
        },
      ],
    },
  });
  const run = await start('openai', (_, turn) => [calling('1', '2'), calling('3')][turn - 1] ?? 'It is 42.');
  const { tasks } = await run.until('completed');
  expect(tasks[0]!.output).toBe('It is 42.');
  const { body, calls } = callsOfT1().at(-1)!;
  const said = (body.messages as Record<string, any>[]).filter(({ role }) => role === 'assistant');
  expect(said).toMatchObject([
    {
      reasoning_content: 'I need 1,2.',
      tool_calls: ['1', '2'].map((source) => ({
        extra_content: { google: { thought_signature: `signed ${source}` } },
      })),
    },
    { reasoning_content: 'I need 3.' },
  ]);
  expect(new Set(calls.map(({ id }) => id)).size).toBe(3);
  expect(calls.map(({ result }) => result)).toEqual(['1', '2', '3']);
});

test('a turn that was cut beside its calls is no warning: the text that stands is whole', async () => {
  const run = await start('openai', (_, turn) =>
    turn === 1 ? { call: [code('6 * 7')], text: 'I will', finish: 'length' } : 'It is 42.',
  );
  const { tasks, warnings } = await run.until('completed');
  expect(tasks[0]!.output).toBe('It is 42.');
  expect(warnings.filter((warning: string) => warning.includes('length limit'))).toEqual([]);
});

test('a tool that must be called is asked for in words where a server refuses to force it, and again, in more words', async () => {
  const step = { id: 'sum', type: 'tool', forced_tool: 'run_javascript', output_key: 'sum', max_turns: 4 };
  let asked = 0;
  story.model.on(({ tool_choice }) => {
    if (tool_choice)
      return { status: 400, body: { error: { message: 'Thinking mode does not support this tool_choice' } } };
    asked += 1;
    return asked < 3 ? 'I would call it.' : { call: [code('1 + 2')] };
  });
  const { body } = await runSteps(story.user, [step]);
  expect(body).toMatchObject({ status: 'completed', response: '3' });
  // One refusal, and then the server is known.
  expect(story.model.calls).toHaveLength(1 + 3);
  const systems = story.model.calls.slice(1).map(({ system }) => system);
  expect(new Set(systems).size).toBe(3);
  for (const system of systems) expect(system).toContain('Answer with a call of the tool run_javascript.');
  expect(story.model.calls.at(-1)!.body.messages).toHaveLength(2);
});

test('thoughts and half an answer are no output', async () => {
  const provider_id = await story.user.addProvider(story.model, 'openai');
  const half = { choices: [{ message: { content: 'Half a sent' }, finish_reason: 'error' }] };
  let asked = 0;
  const run = await story.start(
    {
      execute: ({ task_id }) => {
        if (task_id === 'T1') return '<think>Chain of thought.</think>\nThe result.';
        if (task_id === 'T2' && (asked += 1) === 1) return { status: 200, headers: json, body: half };
        return undefined;
      },
      finalize: () => 'Chain of thought.\n</think>\n\nAll of it.',
    },
    { provider_id },
  );
  const { tasks, final_output } = await run.until('completed');
  expect([tasks[0]!.output, tasks[1]!.output, final_output]).toEqual(['The result.', 'Output of T2.', 'All of it.']);
  const prompts = story.model.calls.map(({ prompt }) => prompt).join();
  expect(prompts).not.toMatch(/Chain of thought|Half a sent/);
});
