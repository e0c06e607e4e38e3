import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { listCodeRuns } from '../../db/code-runs.ts';
import { uuidOf } from '../../src/ids.ts';
import { runAgent } from '../harness/agent.ts';
import { registerCode } from '../harness/code.ts';
import { until } from '../harness/orchflow.ts';
import { present } from '../harness/sandboxes.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';
import { upload } from '../harness/upload.ts';
import { errorCodeOf } from '../../workflows/contract/error-codes.ts';

/** Runs of agents whose output code makes, and of code that agents write. */

describe.skipIf(!present.bubblewrap)('with a sandbox', () => {
  const story = useStory({ SANDBOX_DRIVER: 'bubblewrap', SANDBOX_MAX_SECONDS: '5' });
  const register = (files: Record<string, string>, more?: object) =>
    registerCode(story.orchflow, story.user, files, more);
  const start = (agent_id: string, request?: object) => runAgent(story.user, agent_id, request);
  const codeRuns = (run_id: string) => listCodeRuns(story.orchflow.db, run_id);

  test('code gets its input on stdin, and its JSON is the output; all else that it prints is kept', async () => {
    const agent_id = await register({
      'main.py': `import json, sys, lib.sums
given = json.load(sys.stdin)
print("adding", file=sys.stderr)
print(json.dumps({"sum": lib.sums.add(given["numbers"])}))`,
      'lib/sums.py': 'def add(numbers): return sum(numbers)',
    });
    const run = await start(agent_id, { input: { numbers: [1, 2, 3] } });
    const done = await run.until('completed');
    expect(JSON.parse(done.final_output!)).toEqual({ sum: 6 });
    expect(done).toMatchObject({ usage: { llm_calls: 0 }, tasks: [{ status: 'completed', attempts: 1 }], error: null });
    expect(await codeRuns(run.run_id)).toMatchObject([
      { try: 1, ended: 'exited', exit_code: 0, stderr: 'adding\n', stderr_is_cut: false, fault: null },
    ]);
  });

  test('with files it gets their manifest, and they lie where that says', async () => {
    const { orchflow, user } = story;
    const agent_id = await register({
      'main.mjs': `import { readFileSync } from 'node:fs';
const { files, metadata } = JSON.parse(readFileSync(0, 'utf8'));
const texts = files.map((file) => readFileSync(file.path, 'utf8'));
console.log(JSON.stringify({ files, metadata, texts }));`,
    });
    const one = await upload(orchflow.url, user.api_key, 'one', { name: 'a.txt' });
    const two = await upload(orchflow.url, user.api_key, 'two', { name: 'a.txt' });
    const long = await upload(orchflow.url, user.api_key, 'long', { name: `${'\u4e00'.repeat(100)}.txt` });
    const attachments = [one, two, long].map(({ body }) => body.file_id);
    const done = await (await start(agent_id, { input: { format: 'short' }, attachments })).until('completed');
    expect(JSON.parse(done.final_output!)).toEqual({
      files: [
        { path: '/tmp/uploads/a.txt', original_name: 'a.txt', content_type: expect.any(String), size_bytes: 3 },
        { path: '/tmp/uploads/2_a.txt', original_name: 'a.txt', content_type: expect.any(String), size_bytes: 3 },
        expect.objectContaining({ path: `/tmp/uploads/${'\u4e00'.repeat(65)}.txt`, size_bytes: 4 }),
      ],
      metadata: { format: 'short' },
      texts: ['one', 'two', 'long'],
    });
  });

  test('it fails in words, and with a word for programs', async () => {
    const output_schema = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] };
    const cases: [code: string, error: RegExp, error_code: string, category: string | null, more?: object][] = [
      ['print("hello")', /printed to stdout is no JSON\.$/, 'SANDBOX_ERROR', 'code_error'],
      [
        'raise ValueError("no such invoice")',
        /exit code 1\. What it says of that is in its stderr\.$/,
        'SANDBOX_ERROR',
        'code_error',
      ],
      ['import numpy_of_mine', /exit code 1\. What it says/, 'SANDBOX_ERROR', 'setup_error'],
      ['while True: pass', /timed out after 1 seconds/, 'SANDBOX_TIMEOUT', null, { timeout_seconds: 1 }],
      ['while True: pass', /timed out after 5 seconds/, 'SANDBOX_TIMEOUT', null, { timeout_seconds: 30 }],
      [
        'print(\'{"n": "x"}\')',
        /does not fit the output schema: .*n/,
        'INVALID_OUTPUT',
        'code_error',
        { output_schema },
      ],
    ];
    await Promise.all(
      cases.map(async ([code, error, error_code, category, more], index) => {
        const agent_id = await register({ 'main.py': code }, { name: `bad-${index}`, ...more });
        const run = await start(agent_id);
        expect((await run.until('failed')).error).toMatch(error);
        const row = story.orchflow.db.selectFrom('runs').select('error_code').where('run_id', '=', run.run_id);
        expect(await row.executeTakeFirst()).toEqual({ error_code });
        const [{ fault, stderr } = {}] = await codeRuns(run.run_id);
        if (/exit code/.test(fault!.message)) expect(stderr).toMatch(/no such invoice\n$|'numpy_of_mine'\n$/);
        expect(fault).toMatchObject({ code: error_code, category });
      }),
    );
  });

  test('a person approves its output, and may have it run again', async () => {
    const agent_id = await register(
      { 'main.py': 'import json, os; print(json.dumps(os.urandom(4).hex()))' },
      { require_approval: true },
    );
    const run = await start(agent_id);
    const first = (await run.untilWaiting('T1')).tasks[0]!.output;
    await run.complete('T1', { decision: 'reject', output: 'Another one.' });
    await run.until((view) => view.tasks[0]!.attempts === 2 && view.waiting_tasks.length === 1);
    await run.complete('T1', { decision: 'approve' });
    const done = await run.until('completed');
    expect(done.final_output).not.toBe(first);
    expect(await codeRuns(run.run_id)).toHaveLength(2);
  });

  test('its key opens the API for it, as far as it needs, until it has ended', async () => {
    const agent_id = await register({
      'main.py': `import json, os, urllib.request, urllib.error
def ask(path):
    request = urllib.request.Request(os.environ["ORCHAGENT_GATEWAY_URL"] + path, headers={"Authorization": "Bearer " + os.environ["ORCHAGENT_SERVICE_KEY"]})
    try: return json.load(urllib.request.urlopen(request))
    except urllib.error.HTTPError as error: return error.code
print(json.dumps({"root": os.environ["ORCHAGENT_ROOT_RUN_ID"], "providers": ask("/api/v1/providers"), "keys": ask("/api/v1/keys"), "yek": os.environ["ORCHAGENT_SERVICE_KEY"][::-1]}))`,
    });
    const keys = (await story.user.get('/keys')).body;
    const run = await start(agent_id);
    // Backwards, since no answer may have a key that is found in it.
    const { yek, ...seen } = JSON.parse((await run.until('completed')).final_output!);
    const key = [...yek].toReversed().join('');
    expect(seen).toEqual({ root: uuidOf(run.run_id), providers: 403, keys: 403 });
    const own = `${story.orchflow.url}/api/v1/runs/${run.run_id}`;
    // The API trusts a key for a second.
    await until(async () => (await fetch(own, { headers: { 'x-api-key': key } })).status === 401, 'its key is gone');
    expect((await story.user.get('/keys')).body).toEqual(keys);
  });

  test('a run that is cancelled ends its code', async () => {
    const mark = `79${Math.floor(Math.random() * 1e6)}`;
    const isRunning = () => runningCommands().some((line) => line.includes(mark));
    const run = await start(await register({ 'main.py': `import os; os.execvp("sleep", ["sleep", "${mark}"])` }));
    await until(isRunning, 'the code runs');
    await run.cancel();
    await run.until('cancelled');
    await until(() => !isRunning(), 'the code has ended');
    await until(async () => (await codeRuns(run.run_id))[0]!.ended === 'cancelled', 'that is written down');
  });

  test('an agent runs code that it writes: with the files of its task, and what it leaves is kept', async () => {
    const { model, user, orchflow } = story;
    const python = {
      language: 'python',
      code: `text = open("/tmp/uploads/prices.csv").read()
open("/tmp/outputs/doubled.csv", "w").write(text * 2)
print(len(text))`,
    };
    const javascript = {
      language: 'javascript',
      code: "import { readFileSync } from 'node:fs'; console.log(readFileSync('/tmp/uploads/doubled.csv', 'utf8')); process.exit(2);",
    };
    model.on(
      inTurn(
        { call: [{ name: 'run_code', arguments: python }] },
        { call: [{ name: 'run_code', arguments: javascript }] },
        'It is done.',
      ),
    );
    const file = await upload(orchflow.url, user.api_key, 'a,1\n', { name: 'prices.csv' });
    const agent = { name: 'analyst', provider_id: story.provider_id, tools: ['run_code'] };
    const { body } = await user.insist('POST', '/agents', agent);
    const run = await runAgent(user, body.agent_id, { attachments: [file.body.file_id] });
    await run.until('completed');
    const { body: attempts } = await user.get(`/runs/${run.run_id}/tasks/T1/attempts`);
    const results = attempts.attempts[0].calls.flatMap((call: any) => call.tool_calls);
    expect(results).toMatchObject([
      { tool: 'run_code', is_error: false },
      { tool: 'run_code', is_error: true },
    ]);
    const [kept] = (await user.get('/files')).body.files;
    expect(kept).toMatchObject({ name: 'doubled.csv', media_type: 'text/csv', size: 8 });
    expect(results[0].result).toBe(`4\n\nKept: doubled.csv (${kept.file_id}, 8 bytes)`);
    expect(results[1].result).toContain('a,1\na,1');
    expect(results[1].result).toContain('Exit code 2.');
    expect(await codeRuns(run.run_id)).toMatchObject([{ exit_code: 0 }, { exit_code: 2 }]);
  });

  test('health says that code is run', async () => {
    const health = async () => ((await (await fetch(`${story.orchflow.url}/health`)).json()) as any).code;
    await until(async () => (await health()).status === 'ok', 'the worker has said so');
    expect(await health()).toEqual({
      status: 'ok',
      driver: 'bubblewrap',
      languages: ['python', 'javascript'],
      reason: null,
    });
  });
});

describe('without a sandbox', () => {
  const story = useStory();

  test('no code is run, and whoever asks for it is told', async () => {
    const { orchflow, user, model } = story;
    const agent_id = await registerCode(orchflow, user, { 'main.py': 'print(1)' });
    await orchflow.db
      .insertInto('code_workers')
      .values({ worker_id: 'w1', driver: null, languages: [], reason: 'bubblewrap: bwrap is not installed' })
      .execute();
    const refused = await user.post(`/agents/${agent_id}/runs`, { input: 'x' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'NO_SANDBOX' } });
    expect(refused.body.detail).toBe('This server runs no code: bubblewrap: bwrap is not installed.');
    const health = (await (await fetch(`${orchflow.url}/health`)).json()) as any;
    expect(health.code).toMatchObject({ status: 'off', driver: null, reason: 'bubblewrap: bwrap is not installed' });

    // As the workflow says it of a run that was accepted before that was known.
    expect(errorCodeOf('NoSandbox')).toBe('SANDBOX_ERROR');

    model.on(inTurn({ call: [{ name: 'run_code', arguments: { language: 'python', code: '1' } }] }, 'Then not.'));
    const { body } = await user.insist('POST', '/agents', {
      name: 'a',
      provider_id: story.provider_id,
      tools: ['run_code'],
    });
    const run = await runAgent(user, body.agent_id);
    expect(await run.until('completed')).toMatchObject({ final_output: 'Then not.' });
    const { body: attempts } = await user.get(`/runs/${run.run_id}/tasks/T1/attempts`);
    expect(attempts.attempts[0].calls.flatMap((call: any) => call.tool_calls)).toMatchObject([
      { is_error: true, result: 'This server runs no code: none of its workers has a sandbox.' },
    ]);
  });
});

function runningCommands(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'latin1')];
      } catch {
        return [];
      }
    });
}
