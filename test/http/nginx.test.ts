import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createUser, type User } from '../harness/client.ts';
import { hasNginx, startNginx, type Nginx } from '../harness/nginx.ts';
import { define } from '../harness/orchestration.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Behind a proxy that nobody has configured: it speaks HTTP/1.0 to us, buffers, and has limits of its own. */

const story = useStory();
let nginx: Nginx;
let user: User;

/** The same user, through a proxy. */
const through = (url: string) => createUser(url, story.user.api_key, story.user.webhook_secret, story.user.email);

describe.skipIf(!hasNginx)('behind nginx', () => {
  beforeAll(async () => {
    // In place of the 60 seconds for which it waits for the next byte.
    nginx = await startNginx(story.orchflow.url, 'proxy_read_timeout 5s;');
  });
  afterAll(() => nginx.stop());

  test('waits outlive its limit: a run, a resume, and reads', async () => {
    user = through(nginx.url);
    const { promise: text, resolve: release } = Promise.withResolvers<string>();
    story.model.on(() => text);
    const steps = [
      { id: 'ask', type: 'human' },
      { id: 'write', type: 'llm', output_key: 'text' },
    ];
    const orch_id = await define(user, steps);
    const { run_id } = (await user.post(`/orchestrations/${orch_id}/run`, { message: 'Go.' })).body;
    const answers = [
      user.get(`/orchestrations/runs/${run_id}?wait=7&seen=paused`),
      user.post(`/orchestrations/${await define(user, steps.slice(1))}/run?wait=7`, { message: 'Go.' }),
      user.get(`/runs/${run_id}?wait=7&seen=waiting_human`),
    ];
    expect((await Promise.all(answers)).map(({ status, body }) => [status, body.status])).toEqual([
      [200, 'paused'],
      [200, 'running'],
      [200, 'waiting_human'],
    ]);
    const resumed = user.post(`/orchestrations/runs/${run_id}/resume`, { response: 'Yes.' });
    await story.model.until(() => story.model.openCalls === 2, 'both are at it');
    await user.get(`/orchestrations/runs/${run_id}?wait=6`);
    release('Done.');
    expect(await resumed).toMatchObject({
      status: 200,
      body: { status: 'completed', shared_state: { text: 'Done.' } },
    });
  });

  test('events come as they happen', async () => {
    const run = await story.start({}, { ask_me_about: ['budget'] });
    await run.untilWaiting('T1');
    const headers = { 'x-api-key': story.user.api_key };
    const response = await fetch(`${nginx.url}/api/v1/runs/${run.run_id}/events`, { headers });
    const decoder = new TextDecoder();
    let said = '';
    for await (const chunk of response.body!) {
      said += decoder.decode(chunk, { stream: true });
      if (said.includes('event: gate.opened')) await run.complete('T1', { output: 'Ten.' });
    }
    expect(said).toMatch(/event: run\.completed[^]*event: done/);
  });

  test('bodies up to the limit come through, and our 413 comes back where nginx lets larger ones by', async () => {
    user = through(nginx.url);
    expectFault(await user.post('/runs', { task: 'x', padding: 'x'.repeat(1024 * 1024 - 100) }), '/padding');
    const larger = await startNginx(story.orchflow.url, 'client_max_body_size 0;');
    const unbuffered = await startNginx(
      story.orchflow.url,
      'client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1;',
    );
    for (const proxy of [larger, unbuffered]) {
      for (let time = 0; time < 10; time += 1) {
        const large = await through(proxy.url).post('/runs', { task: 'x', padding: 'x'.repeat(4 * 1024 * 1024) });
        expectProblem(large, { status: 413, code: 'BODY_TOO_LARGE' });
      }
      await proxy.stop();
    }
  });
});
