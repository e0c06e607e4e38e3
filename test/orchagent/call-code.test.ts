import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { uuidOf } from '../../src/ids.ts';
import { runAgent } from '../harness/agent.ts';
import { registerCode } from '../harness/code.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { createAgents } from '../harness/orchagent.ts';
import { until } from '../harness/orchflow.ts';
import { present } from '../harness/sandboxes.ts';
import { useStory } from '../harness/story.ts';

/** Agents that are code, called through the gateway. */

const reader = `
import json, os, sys
given = json.load(sys.stdin)
print("Reading.", file=sys.stderr)
texts = [open(one["path"]).read() for one in given.get("files", [])]
key = os.environ.get("OPENAI_API_KEY", "")
if given.get("metadata", {}).get("fail"):
    print(key, os.environ["ORCHAGENT_SERVICE_KEY"], file=sys.stderr)
    sys.exit(3)
print(json.dumps({"texts": texts, "names": [one["original_name"] for one in given.get("files", [])],
  "given": given.get("metadata", given), "key": key, "begins": key[:3]}).replace("canary", "\\\\u0063anary" if "metadata" in given else "canary"))
`;

const boss = `
import json, os, sys, urllib.request
names = {"CALL_CHAIN": "call-chain", "CALL_CHAIN_SIG": "call-chain-sig", "DEADLINE_MS": "deadline-ms",
  "BILLING_ORG_ID": "billing-org-id", "BILLING_ORG_SIG": "billing-org-sig", "ROOT_RUN_ID": "root-run-id"}
headers = {"x-orchagent-" + header: os.environ["ORCHAGENT_" + name] for name, header in names.items()}
headers.update({"authorization": "Bearer " + os.environ["ORCHAGENT_SERVICE_KEY"], "content-type": "application/json"})
print("Asking.", file=sys.stderr)
url = os.environ["ORCHAGENT_GATEWAY_URL"] + "/code-2/finder/v1/run"
answer = urllib.request.urlopen(urllib.request.Request(url, b'{"where": "hay"}', headers))
print(json.dumps({"said": json.load(answer)["data"]}))
`;

/** It tries what it may not, and calls the next one, without any of the headers that it was told of. */
const relay = `
import json, os, sys, urllib.request, urllib.error
env = os.environ
def ask(path, body=None):
    headers = {"authorization": "Bearer " + env["ORCHAGENT_SERVICE_KEY"], "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try: return json.load(urllib.request.urlopen(urllib.request.Request(env["ORCHAGENT_GATEWAY_URL"] + path, data, headers)))
    except urllib.error.HTTPError as error: return [error.code, error.read().decode()]
next = json.load(sys.stdin)["next"]
print(json.dumps({
    "circle": ask("/" + env["ORCHAGENT_CALL_CHAIN"].split(",")[0].replace("@", "/") + "/run", {"next": next}),
    "out": ask("/code-3/finder/v1/run", {"llm_credentials": {"api_key": "sk-x", "provider": "openai", "base_url": "http://elsewhere.test"}}),
    "runs": ask("/api/v1/runs")[0],
    "register": ask("/api/v1/auth/register", {})[0],
    "root": ask("/workspaces/" + env["ORCHAGENT_BILLING_ORG_ID"] + "/runs/" + env["ORCHAGENT_ROOT_RUN_ID"]),
    "cents": env.get("ORCHAGENT_DOWNSTREAM_REMAINING"), "key": env.get("OPENAI_API_KEY", "").endswith("-chain"),
    "next": ask(next[0], {"next": next[1:]}) if len(next) > 0 else None,
}))
`;

/** What a stream of a call has said so far, each block as its type, or its event, and its data. */
function readStream(answer: Response) {
  const events: [type: string, data: Record<string, any>][] = [];
  const reading = (async () => {
    let rest = '';
    for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const [, event, data] = /event: (.*)\ndata: (.*)$/.exec(block) ?? [];
        const said = JSON.parse(data!);
        events.push([event === 'progress' ? said.type : event!, said]);
      }
    }
  })();
  const textOf = (stream: string) => events.flatMap(([type, { text }]) => (type === stream ? [text] : [])).join('');
  return { events, reading, textOf };
}

describe.skipIf(!present.bubblewrap)('with a sandbox', () => {
  const story = useStory({ SANDBOX_DRIVER: 'bubblewrap', SANDBOX_OUTPUT_BYTES: '150000' });

  async function publishCode(org: string, name: string, code: string, manifest: object = {}): Promise<string> {
    const { orchflow, user } = story;
    const agent_id = await registerCode(orchflow, user, { 'main.py': code }, { name, manifest });
    await sql`update accounts set slug = ${org} where email = ${user.email}`.execute(orchflow.db);
    return agent_id;
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
      { texts: ['First.'], names: ['a.txt'], given: { format: 'short' }, key: '********', begins: 'sk-' },
    ]);
    expect(body.metadata).toMatchObject({ stderr: 'Reading.\n', execution_time_ms: expect.any(Number) });
    const long = 'word '.repeat(10_000);
    const plain = await post('/code-1/reader/v1/run', { long }, { 'x-orchagent-skills': 'code-1/style@v1' });
    expect([plain.body.data.given, 'stdout' in plain.body.metadata]).toEqual([{ long }, false]);
    const message = 'Skills were left out, since this agent is code: code-1/style@v1.';
    expect(plain.body.warnings).toEqual([{ code: 'NOTICE', message }]);

    const failing = new FormData();
    failing.append(
      'metadata',
      JSON.stringify({ fail: true, llm_credentials: { api_key: 'sk-canary-fail', provider: 'openai' } }),
    );
    failing.append('file', new File(['x'], 'a.txt'));
    const failed = await post('/code-1/reader/v1/run', failing);
    expect([failed.status, failed.body.error.code, failed.body.error.category], JSON.stringify(failed.body)).toEqual([
      500,
      'SANDBOX_ERROR',
      'code_error',
    ]);
    // What it has printed is nothing that Temporal is told, and has none of its keys.
    const user_message = 'its code ended with exit code 3. What it says of that is in its stderr.';
    expect(failed.body.error).toMatchObject({ stderr_tail: 'Reading.\n******** ********\n', user_message });
    expect(failed.body.metadata.sandbox_exit_code).toBe(3);
  });

  test('code that is not done in time, or is cancelled, is ended, and what it has printed is told', async () => {
    const { orchflow, user } = story;
    const sloth = { 'main.py': 'import sys\nprint("So far.", file=sys.stderr)\nwhile True: pass' };
    await registerCode(orchflow, user, sloth, { name: 'sloth', timeout_seconds: 2 });
    await registerCode(orchflow, user, sloth, { name: 'sleeper' });
    await sql`update accounts set slug = 'code-5' where email = ${user.email}`.execute(orchflow.db);
    const { post } = createCaller(orchflow.url, user);
    const soon = String(Date.now() + 1_800);
    const [own, called] = await Promise.all([
      post('/code-5/sloth/v1/run?verbose=true', {}),
      post('/code-5/sloth/v1/run?verbose=true', { other: 1 }, { 'x-orchagent-deadline-ms': soon }),
    ]);
    const seen = [own, called].map(({ status, body }) => [status, body.error.code, body.metadata.stderr]);
    expect(seen, JSON.stringify([own.body, called.body])).toEqual([
      [504, 'SANDBOX_TIMEOUT', 'So far.\n'],
      [504, 'TIMEOUT', 'So far.\n'],
    ]);

    const headers = { accept: 'text/event-stream' };
    const stream = readStream(await createCaller(orchflow.url, user).open('/code-5/sleeper/v1/run', {}, { headers }));
    await until(() => stream.textOf('stderr') === 'So far.\n', 'it is at work');
    const { runs } = (await user.get('/runs?limit=1')).body;
    await user.openRun(runs[0].run_id).cancel();
    await stream.reading;
    expect(stream.events.at(-1)).toMatchObject(['error', { error: { code: 'CONFLICT' } }]);
    const agents = createAgents(orchflow.url, user);
    const { id } = (await agents.get('/org')).body;
    const logs = async () => (await agents.get(`/workspaces/${id}/runs/${uuidOf(runs[0].run_id)}/logs`)).body;
    await until(async () => (await logs()).stderr === 'So far.\n', 'what it has printed is kept');
    expect(await logs()).toMatchObject({ run_status: 'cancelled', has_execution_log: true, exit_code: null });
  });

  test('code calls an agent by the environment that it is given, and is heard while it is at work', async () => {
    const { orchflow, user, model } = story;
    await publishCode('code-2', 'boss', boss);
    await publish(orchflow, user, 'code-2', { name: 'finder', provider_id: story.provider_id });
    const asked = Promise.withResolvers<void>();
    model.on(async () => {
      await asked.promise;
      return '{"found": "a needle"}';
    });
    const { open } = createCaller(orchflow.url, user);
    const accept = { accept: 'text/event-stream' };
    const { events, reading, textOf } = readStream(await open('/code-2/boss/v1/run', {}, { headers: accept }));
    await until(() => textOf('stderr') === 'Asking.\n', 'what it has printed is told before it goes on');
    expect(events.some(([type]) => type === 'done')).toBe(false);
    asked.resolve();
    await reading;
    const types = events.map(([type, { name, status }]) => [type, name, status].filter(Boolean).join(' '));
    expect(types.filter((type) => type !== 'turn_start')).toEqual([
      'sandbox_start',
      'setup_step bundle started',
      'setup_step bundle completed',
      'stderr',
      'stdout',
      'done',
      'result',
    ]);
    expect(events.at(-1)![1].data).toEqual({ said: { found: 'a needle' } });
    const calls = await orchflow.db
      .selectFrom('agent_calls')
      .selectAll()
      .where('agent', 'like', 'code-2/%')
      .orderBy('created_at')
      .execute();
    expect(calls.map(({ chain }) => chain)).toEqual([['code-2/boss@v1'], ['code-2/boss@v1', 'code-2/finder@v1']]);
    expect(calls[1]!.parent_run_id).toBe(calls[0]!.run_id);
  });

  test('however fast code prints, all that is kept is told once and in order, and whether there was more', async () => {
    const talker =
      'import json, sys\ngiven = json.load(sys.stdin)\n' +
      'sys.stderr.write("".join(f"{n:09d}\\n" for n in range(given["lines"])))\nprint(1)';
    await publishCode('code-4', 'talker', talker);
    const { open } = createCaller(story.orchflow.url, story.user);
    const listen = async (lines: number) => {
      const headers = { accept: 'text/event-stream' };
      const stream = readStream(await open('/code-4/talker/v1/run', { lines }, { headers }));
      await stream.reading;
      return { ...stream, isCut: stream.events.some(([type]) => type === 'output_truncated') };
    };
    const [kept, cut] = await Promise.all([listen(14_000), listen(20_000)]);
    const line = (n: number) => `${String(n).padStart(9, '0')}\n`;
    expect(kept.textOf('stderr') === Array.from({ length: 14_000 }, (_, n) => line(n)).join('')).toBe(true);
    expect([kept.isCut, cut.isCut]).toEqual([false, true]);
    expect(cut.textOf('stderr').endsWith(line(19_999))).toBe(true);
  });

  test('code is in the chain of its run whatever it says, and does nothing else with its key', async () => {
    const { orchflow, user, model } = story;
    const agent_id = await publishCode('code-3', 'first', relay, { downstream_spend_cap: 12.5, max_hops: 5 });
    await publishCode('code-3', 'second', relay);
    await publish(orchflow, user, 'code-3', { name: 'finder' });
    model.on(() => '{"found": "a needle"}');
    const next = ['/code-3/second/v1/run', '/code-3/finder/v1/run'];
    const llm_credentials = { api_key: 'sk-canary-chain', provider: 'openai', base_url: model.baseUrl('openai') };
    const { post } = createCaller(orchflow.url, user);
    const headers = { 'x-orchagent-tenant': 'tenant-3' };
    const { status, body } = await post('/code-3/first/v1/run', { next, llm_credentials }, headers);
    expect(status, JSON.stringify(body)).toBe(200);
    const { data: first } = body;
    const { data: second } = first.next;
    for (const { circle, out, ...seen } of [first, second]) {
      expect([circle[0], circle[1]]).toEqual([403, expect.stringContaining('It would be a circle: code-3/first@v1')]);
      expect([out[0], out[1]]).toEqual([400, expect.stringContaining('a way out of its sandbox')]);
      expect(seen).toMatchObject({ runs: 403, register: 403, cents: '12', key: true });
      expect(seen.root).toMatchObject({ agent_name: 'first' });
    }
    expect(second.next.data).toEqual({ found: 'a needle' });
    expect(model.calls[0]!.headers).toMatchObject({ authorization: 'Bearer sk-canary-chain' });
    const calls = await orchflow.db
      .selectFrom('agent_calls')
      .selectAll()
      .where('agent', 'like', 'code-3/%')
      .orderBy('created_at')
      .execute();
    expect(calls.map((one) => [one.chain.length, one.parent_run_id, one.tenant, one.max_hops])).toEqual([
      [1, null, 'tenant-3', 5],
      [2, calls[0]!.run_id, 'tenant-3', 4],
      [3, calls[1]!.run_id, 'tenant-3', 3],
    ]);
    expect(new Set(calls.map(({ root_run_id }) => root_run_id))).toEqual(new Set([calls[0]!.run_id]));

    // Where nobody has called it, it is the first of its chain.
    const run = await runAgent(user, agent_id, { input: { next: [next[0]] } });
    const output = JSON.parse((await run.until('completed')).final_output!);
    expect(output.circle[1]).toContain('It would be a circle: code-3/first@v1');
    const [called] = await orchflow.db
      .selectFrom('agent_calls')
      .selectAll()
      .where('parent_run_id', '=', run.run_id)
      .execute();
    expect(called).toMatchObject({
      root_run_id: run.run_id,
      chain: ['code-3/first@v1', 'code-3/second@v1'],
      max_hops: 4,
      downstream: { spend_cap: 12.5 },
    });
  });
});
