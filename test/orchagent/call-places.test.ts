import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { createPlaces } from '../../activities/places.ts';
import { registerCode } from '../harness/code.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { present } from '../harness/sandboxes.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Places for code: who gets them, and code that waits for other code. */

/** Calls the first of `next` with the rest of them, and waits for its answer. */
const caller = `
import json, os, sys, urllib.request
env = os.environ
given = json.load(sys.stdin)
headers = {"authorization": "Bearer " + env["ORCHAGENT_SERVICE_KEY"], "content-type": "application/json"}
body = json.dumps({"next": given["next"][1:]}).encode()
request = urllib.request.Request(env["ORCHAGENT_GATEWAY_URL"] + given["next"][0], body, headers)
print(json.dumps({"got": json.load(urllib.request.urlopen(request))["data"]}))
`;

test('one place stays free for another account, where there is more than one', () => {
  const { take } = createPlaces(4, 4);
  const leave = [take('alice'), take('alice'), take('alice')];
  expect(leave.map((one) => typeof one)).toEqual(['function', 'function', 'function']);
  expect(take('alice')).toBeUndefined();
  expect(take('bob')).toBeDefined();
  expect(take('carol')).toBeUndefined();
  leave[0]!();
  expect(take('alice')).toBeUndefined();
  expect(take('carol')).toBeDefined();
  expect(createPlaces(1, 4).take('alice')).toBeDefined();
});

describe.skipIf(!present.bubblewrap)('with one place in each of two workers', () => {
  const story = useStory({ SANDBOX_DRIVER: 'bubblewrap', SANDBOX_PLACES: '1' });

  test('code that waits for code, over agents of models too, is not in its way', async () => {
    const { orchflow, user, model } = story;
    for (const name of ['first', 'second', 'third'])
      await registerCode(orchflow, user, { 'main.py': caller }, { name, manifest: {}, timeout_seconds: 50 });
    await publish(orchflow, user, 'places-1', {
      name: 'thinker',
      provider_id: story.provider_id,
      tools: ['run_code'] as never,
    });
    const program = { language: 'python', code: 'print(6 * 7)' };
    model.on(inTurn({ call: [{ name: 'run_code', arguments: program }] }, 'It is 42.'));
    await story.startWorkerProcess();
    const { post } = createCaller(orchflow.url, user);
    const next = ['second', 'third', 'thinker'].map((name) => `/places-1/${name}/v1/run`);
    // Of four that run code at once, two at most have a place.
    const { status, body } = await post('/places-1/first/v1/run', { next });
    expect([status, body.data ?? body]).toEqual([200, { got: { got: { got: { result: 'It is 42.' } } } }]);
    const open = await sql`select from code_runs where ended is null`.execute(orchflow.db);
    expect(open.rows).toEqual([]);
  });
});
