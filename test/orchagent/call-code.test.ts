import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { registerCode } from '../harness/code.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { useStory } from '../harness/story.ts';

/** Agents that are code, called through the gateway. */

const story = useStory({ SANDBOX_DRIVER: 'bubblewrap' });

const reader = `
import json, os, sys
given = json.load(sys.stdin)
print("Reading.", file=sys.stderr)
texts = [open(one["path"]).read() for one in given.get("files", [])]
if given.get("metadata", {}).get("fail"):
    sys.exit(3)
print(json.dumps({"texts": texts, "names": [one["original_name"] for one in given.get("files", [])],
  "given": given.get("metadata", given), "key": os.environ.get("OPENAI_API_KEY", "")[:3]}))
`;

const boss = `
import json, os, sys, urllib.request
names = {"CALL_CHAIN": "call-chain", "CALL_CHAIN_SIG": "call-chain-sig", "DEADLINE_MS": "deadline-ms",
  "BILLING_ORG_ID": "billing-org-id", "BILLING_ORG_SIG": "billing-org-sig", "ROOT_RUN_ID": "root-run-id"}
headers = {"x-orchagent-" + header: os.environ["ORCHAGENT_" + name] for name, header in names.items()}
headers.update({"authorization": "Bearer " + os.environ["ORCHAGENT_SERVICE_KEY"], "content-type": "application/json"})
url = os.environ["ORCHAGENT_GATEWAY_URL"] + "/code-2/finder/v1/run"
answer = urllib.request.urlopen(urllib.request.Request(url, b'{"where": "hay"}', headers))
print(json.dumps({"said": json.load(answer)["data"]}))
`;

async function publishCode(org: string, name: string, code: string): Promise<void> {
  const { orchflow, user } = story;
  await registerCode(orchflow, user, { 'main.py': code }, { name });
  await sql`update accounts set slug = ${org} where email = ${user.email}`.execute(orchflow.db);
}

test('code is called with files and answers; what it has printed is told to who asks for it', async () => {
  await publishCode('code-1', 'reader', reader);
  const { post } = createCaller(story.orchflow.url, story.user);
  const form = new FormData();
  form.append('files[]', new File(['First.'], 'a.txt'));
  form.append(
    'metadata',
    JSON.stringify({ format: 'short', llm_credentials: { api_key: 'sk-canary-code', provider: 'openai' } }),
  );
  const { status, body } = await post('/code-1/reader/v1/run?verbose=true', form);
  expect([status, body.data], JSON.stringify(body)).toEqual([
    200,
    { texts: ['First.'], names: ['a.txt'], given: { format: 'short' }, key: 'sk-' },
  ]);
  expect(body.metadata).toMatchObject({ stderr: 'Reading.\n', execution_time_ms: expect.any(Number) });
  const long = 'word '.repeat(10_000);
  const plain = await post('/code-1/reader/v1/run', { long });
  expect([plain.body.data.given, 'stdout' in plain.body.metadata]).toEqual([{ long }, false]);

  const failing = new FormData();
  failing.append('metadata', '{"fail": true}');
  failing.append('file', new File(['x'], 'a.txt'));
  const failed = await post('/code-1/reader/v1/run', failing);
  expect([failed.status, failed.body.error.code, failed.body.error.category], JSON.stringify(failed.body)).toEqual([
    500,
    'SANDBOX_ERROR',
    'code_error',
  ]);
  expect(failed.body.error).toMatchObject({ stderr_tail: 'Reading.\n', user_message: expect.any(String) });
  expect(failed.body.metadata.sandbox_exit_code).toBe(3);
});

test('code calls an agent by the environment that it is given', async () => {
  const { orchflow, user, model } = story;
  await publishCode('code-2', 'boss', boss);
  await publish(orchflow, user, 'code-2', { name: 'finder', provider_id: story.provider_id });
  model.on(() => '{"found": "a needle"}');
  const { post } = createCaller(orchflow.url, user);
  const { status, body } = await post('/code-2/boss/v1/run?verbose=true', {});
  expect([status, body.data], JSON.stringify(body)).toEqual([200, { said: { found: 'a needle' } }]);
  const calls = await orchflow.db
    .selectFrom('agent_calls')
    .selectAll()
    .where('agent', 'like', 'code-2/%')
    .orderBy('created_at')
    .execute();
  expect(calls.map(({ chain }) => chain)).toEqual([['code-2/boss@v1'], ['code-2/boss@v1', 'code-2/finder@v1']]);
  expect(calls[1]!.parent_run_id).toBe(calls[0]!.run_id);
});
