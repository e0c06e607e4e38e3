import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { publish } from '../harness/calls.ts';
import { hasOrchagent } from '../harness/python.ts';
import { useStory } from '../harness/story.ts';

/** orchagent's own Python client, `orchagent-sdk`, unchanged: only the address is ours. */

const program = `
import asyncio, json, sys
from orchagent import AgentClient
from orchagent.client import DependencyCallError, TimeoutExceededError

async def main():
    client = AgentClient()
    org = sys.argv[1]
    told = {"data": await client.call(f"{org}/scanner@v1", {"text": "Twelve euros."})}
    told["latest"] = await client.call(f"{org}/scanner@latest", {"text": "x"}, endpoint="analyze")
    try:
        await client.call(f"{org}/nosuch@v1", {})
    except DependencyCallError as error:
        told["error"] = [error.status_code, error.response_body["error"]["code"], error.response_body["message"]]
    hops = AgentClient(max_hops=2)
    told["hops"] = await hops.call(f"{org}/scanner@v1", {})
    try:
        await AgentClient().call(f"{org}/slow@v1", {}, timeout=0.5)
    except TimeoutExceededError as error:
        told["timeout"] = True
    print(json.dumps(told))

asyncio.run(main())
`;

describe.skipIf(!hasOrchagent)('orchagent-sdk', () => {
  const story = useStory();

  test('calls agents, and raises what they fail with', async () => {
    const org = 'python-1';
    const { orchflow, user, model } = story;
    await publish(orchflow, user, org, { name: 'scanner' });
    await publish(orchflow, user, org, { name: 'slow', system_prompt: 'You are slow.' });
    model.on(({ system }) => (system.includes('You are slow.') ? { hang: 'before_headers' } : '{"total": 12}'));
    const env = { ...process.env, ORCHAGENT_SERVICE_KEY: user.api_key, ORCHAGENT_GATEWAY_URL: orchflow.url };
    const { stdout } = await promisify(execFile)('python3', ['-c', program, org], { env });
    expect(JSON.parse(stdout)).toEqual({
      data: { total: 12 },
      latest: { total: 12 },
      hops: { total: 12 },
      error: [404, 'NOT_FOUND', 'Agent not found.'],
      timeout: true,
    });
  });
});
