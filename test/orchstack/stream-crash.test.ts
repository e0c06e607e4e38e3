import { expect, test } from 'vitest';
import { createStack, type StreamedEvent } from '../harness/orchstack.ts';
import { until } from '../harness/orchflow.ts';
import { startApiProcess } from '../harness/processes.ts';
import { useStory } from '../harness/story.ts';

/** What is killed in the middle of a stream. */

const story = useStory({}, { worker: false });

/** What a client has that keeps to `offset`. Fails when something is missing before a token. */
function textOf(events: StreamedEvent[]): string {
  return events
    .filter(({ event }) => event === 'token')
    .reduce((text, { data }) => {
      expect(data.offset).toBeLessThanOrEqual(text.length);
      return text.slice(0, data.offset) + data.text;
    }, '');
}

/** A model that says the first half, and the rest only when it is asked again. */
function sayHalf() {
  const { promise: never } = Promise.withResolvers<string>();
  async function* half() {
    yield 'Half of ';
    yield await never;
  }
  let calls = 0;
  story.model.on(() => {
    calls += 1;
    return calls === 1 ? { say: half() } : 'All of it.';
  });
}

test('the worker: another one begins the text anew, and the stream goes on to the result', async () => {
  sayHalf();
  const stack = createStack(story.orchflow.url, story.user);
  const agent_id = await stack.createAgent({ provider_id: story.provider_id });
  const worker = await story.startWorkerProcess();
  let restarted: Promise<unknown> | undefined;
  const { events } = await stack.stream(
    `/agents/${agent_id}/run`,
    { input: 'Go.', stream: true },
    {
      onEvent({ event }) {
        if (event === 'token') restarted ??= worker.kill().then(() => story.startWorkerHere());
      },
    },
  );
  await restarted;
  expect(events.at(-1)!.data).toMatchObject({ type: 'result', status: 'completed', output: 'All of it.' });
  expect(events.filter(({ data }) => data.offset === 0)).toHaveLength(2);
  expect(textOf(events)).toBe('All of it.');
});

test('the API: the same request with the same key finds the run at another one, and nothing is paid twice', async () => {
  const rest = Promise.withResolvers<string>();
  async function* words() {
    yield 'Half of ';
    yield await rest.promise;
  }
  story.model.on(() => ({ say: words() }));
  const [api] = await Promise.all([startApiProcess({ ...story.orchflow.env, PORT: '0' }), story.startWorkerHere()]);
  const agent_id = await createStack(api.url, story.user).createAgent({ provider_id: story.provider_id });
  const request = [`/agents/${agent_id}/run`, { input: 'Go.', stream: true }] as const;
  const headers = { 'idempotency-key': 'mine' };
  const told: StreamedEvent[] = [];
  const broken = createStack(api.url, story.user).stream(...request, {
    headers,
    onEvent(event) {
      told.push(event);
      if (event.event === 'token') void api.kill();
    },
  });
  await expect(broken).rejects.toThrow();
  expect(textOf(told)).toBe('Half of ');
  const { run_id } = told[0]!.data;
  // It has not heard the first half.
  const late = await startApiProcess({ ...story.orchflow.env, PORT: '0' });
  const stack = createStack(late.url, story.user);
  let again: { events: StreamedEvent[] } | undefined;
  await until(async () => {
    // Its lock is free again when it is over.
    await story.orchflow.db
      .updateTable('idempotency_keys')
      .set({ locked_until: new Date(0).toISOString() })
      .execute();
    const following = stack.stream(...request, { headers, onEvent: () => rest.resolve('it.') });
    again = await following.catch(() => undefined);
    return again !== undefined;
  }, 'the run is found');
  expect(again!.events[0]!.data.run_id).toBe(run_id);
  expect(again!.events.at(-1)!.data).toMatchObject({ run_id, status: 'completed', output: 'Half of it.' });
  expect(textOf(again!.events)).toBe('Half of it.');
  expect(story.model.calls).toHaveLength(1);
});
