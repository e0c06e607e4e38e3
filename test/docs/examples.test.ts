import { execFile, type ExecFileException } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assertNoSecret } from '../harness/canaries.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { hasRequests } from '../harness/python.ts';
import { send } from '../harness/raw.ts';

/** The examples as their README runs them, each a process of its own. */

const root = path.join(import.meta.dirname, '../..');
const readme = readFileSync(path.join(root, 'examples/README.md'), 'utf8');
const commands = [...readme.matchAll(/`((?:sh|python3|node) examples\/[\w.]+)`/g)].map(([, command]) => command!);
const runnable = commands.filter((command) => hasRequests || !command.startsWith('python3 '));

let orchflow: Orchflow;
beforeAll(async () => {
  orchflow = await startOrchflow();
});
afterAll(() => orchflow.stop());

type Watch = (printed: Readable) => void;

/** Runs an example to its end, for this user or for nobody. No secret may be in what it prints. */
async function run(command: string, user?: Pick<User, 'api_key' | 'webhook_secret'>, watch?: Watch) {
  const [program, ...args] = command.split(' ');
  const env = {
    ...process.env,
    ORCHFLOW_URL: orchflow.url,
    ORCHFLOW_API_KEY: user?.api_key ?? '',
    ORCHFLOW_WEBHOOK_SECRET: user?.webhook_secret ?? '',
  };
  const running = promisify(execFile)(program!, args, { cwd: root, env, timeout: 120_000 });
  watch?.(running.child.stdout!);
  const failed = (error: ExecFileException) => ({ code: error.code ?? error.signal, ...printedBy(error) });
  const ended = await running.then((done) => ({ code: 0, ...printedBy(done) }), failed);
  assertNoSecret(ended.printed, command);
  return ended;
}

function printedBy({ stdout, stderr }: { stdout?: string; stderr?: string }) {
  return { stdout: stdout!, printed: stdout! + stderr! };
}

/** Runs it for a user of its own, and returns the run as it is then. */
async function runAs(user: User, command: string, watch?: Watch) {
  const { code, stdout, printed } = await run(command, user, watch);
  expect(code, printed).toBe(0);
  const [run_id] = /run_\w+/.exec(stdout)!;
  return { stdout, run: await user.openRun(run_id).get() };
}

/** How often the one is in the other. */
const count = (text: string, part: string) => text.split(part).length - 1;

test('the README has every example', () => {
  const files = readdirSync(path.join(root, 'examples')).filter((file) => file !== 'README.md');
  expect(commands.map((command) => path.basename(command)).toSorted()).toEqual(files.toSorted());
});

describe.concurrent('an example', () => {
  test('run.sh answers what it is asked, and prints the result', async () => {
    const { run, stdout } = await runAs(await orchflow.register(), 'sh examples/run.sh');
    expect(run.status).toBe('completed');
    expect(run.tasks[0]).toMatchObject({ id: 'T1', output: 'Practical and founder-friendly, for solo freelancers.' });
    expect(stdout).toContain(run.final_output);
    expect(stdout).toContain('  T1 gate.answered\n');
  });

  test.skipIf(!hasRequests)('run.py rejects one draft, approves the others, and does the last task', async () => {
    const { run, stdout } = await runAs(await orchflow.register(), 'python3 examples/run.py');
    expect(run.status).toBe('completed');
    expect(run.tasks.map(({ attempts, gate }) => [attempts, gate?.kind, gate?.decision])).toEqual([
      [2, 'approval', 'approve'],
      [1, 'approval', 'approve'],
      [1, 'approval', 'approve'],
      [0, 'human_task', 'approve'],
    ]);
    expect(stdout).toContain(run.final_output);
  });

  test('run.mjs shows the events, and the result once', async () => {
    const { run, stdout } = await runAs(await orchflow.register(), 'node examples/run.mjs');
    expect(run.status).toBe('completed');
    expect(run.tasks[0]).toMatchObject({ id: 'T1', output: 'Practical and founder-friendly, for solo freelancers.' });
    for (const line of ['gate.opened T1', 'gate.answered T1', 'task.completed T2', 'done ']) {
      expect(count(stdout, `\n${line}\n`), line).toBe(1);
    }
    expect(count(stdout, run.final_output!)).toBe(1);
  });

  test('webhook.mjs answers what it hears of, and refuses what Orchflow has not signed', async () => {
    const user = await orchflow.register();
    const body = JSON.stringify({ run_id: 'run_other', event: 'waiting_human', waiting_tasks: ['T1'] });
    const now = Math.floor(Date.now() / 1000);
    const sign = (secret: string, time: number) => ({
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(time),
      'webhook-signature': new Webhook(secret).sign('msg_1', new Date(time * 1000), body),
    });
    const forged: Record<string, string>[] = [
      {},
      sign(`whsec_${Buffer.alloc(32).toString('base64')}`, now),
      sign(user.webhook_secret, now - 600),
      { ...sign(user.webhook_secret, now), 'webhook-id': 'msg_2' },
      { ...sign(user.webhook_secret, now), 'webhook-signature': `v1,${'é'.repeat(44)}` },
    ];
    let answers: Promise<number[]> | undefined;
    const { run, stdout } = await runAs(user, 'node examples/webhook.mjs', (printed) => {
      printed.on('data', (text: string) => {
        const url = /^Listens at (.*)$/m.exec(text)?.[1];
        if (url)
          answers = Promise.all(forged.map(async (headers) => (await send(url, 'POST', '/', headers, body)).status));
      });
    });
    expect(await answers).toEqual(forged.map(() => 401));
    expect(count(stdout, 'Refused')).toBe(forged.length);
    expect(run.status).toBe('completed');
    expect(run.tasks[0]).toMatchObject({ id: 'T1', output: 'Practical and founder-friendly, for solo freelancers.' });
    expect(stdout).toContain(run.final_output);
    const { deliveries } = (await user.get(`/webhooks/deliveries?run_id=${run.run_id}`)).body;
    expect(deliveries.map(({ event, attempts }: any) => [event, attempts]).toSorted()).toEqual([
      ['completed', 1],
      ['waiting_human', 1],
    ]);
  });

  test('orchestration.mjs is paused, sent back once, approved and completed', async () => {
    const user = await orchflow.register();
    const { run, stdout } = await runAs(user, 'node examples/orchestration.mjs');
    expect(run.status).toBe('completed');
    const executions = ['draft', 'review', 'decide', 'draft.2', 'review.2', 'decide.2', 'done'];
    expect(run.tasks.map(({ id }) => id)).toEqual(executions);
    for (const id of executions) expect(stdout).toContain(`  ${id} completed\n`);
    expect(JSON.parse(run.tasks[1]!.output!)).toEqual({ decision: 'reject', notes: 'Say what it costs.' });
    expect(stdout).toContain('The review: {"decision":"approve","notes":"Publish it on Monday."}');
    const own = (await user.get('/orchestrations')).body.map(({ id }: { id: string }) => id);
    expect(own).not.toContain(run.orchestration_id);
  });

  test.each(runnable)('%s registers an account when it has no key', async (command) => {
    let { code, stdout, printed } = await run(command);
    // A machine that is busy may take longer for an account than an answer may, and then the e-mail may be taken.
    for (let tries = 1; tries < 5 && /auth\/register: .*(503|EMAIL_TAKEN)/.test(printed); tries += 1) {
      ({ code, stdout, printed } = await run(command));
    }
    expect(code, printed).toBe(0);
    expect(stdout).toMatch(/^Registered a new account\./);
    expect(stdout).toContain('Completed');
  });

  test.each(runnable)('%s says what was refused, and fails', async (command) => {
    const { code, printed } = await run(command, { api_key: 'orch_unknown', webhook_secret: 'whsec_AAAA' });
    expect(code).toBe(1);
    expect(printed).toContain('Missing or invalid API key');
  });
});
