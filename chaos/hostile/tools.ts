import { limits } from '../limits.ts';
import { orTooMany, type Attack, type Hostile } from './tenant.ts';

/** Tools and their servers: swapped under a call, never offered, and without an end. */

/** How long a registration may take: an MCP server has 20 s to list its tools. */
const registrationSeconds = 22;

/** The number of the newest server: each has an address, and tools that say which one they are of. */
let newest = 0;

/** Registers a server under this name: another one than before, or the same `again`. */
function register({ post, outside }: Hostile, name: string, again = false): Promise<unknown> {
  if (!again) newest += 1;
  const url = outside.mcpServer(newest);
  return post('/tools/mcp', { name, url }, orTooMany(201), { wait: registrationSeconds });
}

const remove = ({ ask }: Hostile, name: string) =>
  ask({ method: 'DELETE', path: `/tools/mcp/${name}`, due: [200, 404] });

/** Answers what waits in the run, sometimes, until it has been long enough. */
async function attend({ get, post, pause, random, signal }: Hostile, run_id: string, ms: number): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end && !signal.aborted; await pause(random.between(300, 800))) {
    const { body } = await get(`/runs/${run_id}`);
    if (!body || ['completed', 'failed', 'cancelled'].includes(body.status)) return;
    for (const task of body.tasks.filter(({ id }: { id: string }) => body.waiting_tasks.includes(id))) {
      if (random.chance(0.25)) continue;
      const { gate_id, decisions } = task.gate;
      const decision = random.pick(decisions as ('approve' | 'edit' | 'reject' | 'retry')[]);
      const output = { edit: JSON.stringify({ to: 'another' }), reject: 'Not so.' }[decision as string];
      const operation = { op: 'complete' as const, run_id, task_id: task.id, gate_id, decision, output };
      const path = `/runs/${run_id}/tasks/${task.id}/complete`;
      await post(path, { decision, output, gate_id }, [200, 409], { operation });
    }
  }
}

/** A server is removed, and another one registered in its place: while the model thinks, and while people are asked. */
const swappedServers: Attack = async (hostile) => {
  const { startGoal, startSteps, random, pause } = hostile;
  await register(hostile, 'bank');
  const out = () => remove(hostile, 'bank');
  const into = () => register(hostile, 'bank');
  const again = () => register(hostile, 'bank', true);
  const swaps = [[], [], [], [out], [into], [again], [out, again], [out, into]];
  const swap = async () => {
    for (const step of random.pick(swaps)) await step();
  };
  const meddle = async () => {
    await pause(random.between(1_000, 4_000));
    await swap();
    await pause(2_000);
    await swap();
  };
  const pay = { name: 'bank.pay', require_approval: true };
  const step = { id: 'pay', type: 'tool', forced_tool: pay.name, require_approval: true };
  const agents = [{ name: 'research', tools: [pay, 'bank.look'] }];
  const [goal, runs] = await Promise.all([startGoal('pay', { agents }, swap), startSteps([step], 1, 'pay', swap)]);
  const started = [goal, ...runs].filter((run_id) => run_id !== undefined);
  await Promise.all([...started.map((run_id) => attend(hostile, run_id, 20_000)), meddle()]);
};

/** Tools of which the model was never told. */
const guessedTools: Attack = async (hostile) => {
  await register(hostile, 'shop');
  const agents = [{ name: 'research', tools: ['shop.look'] }];
  await hostile.startGoal('guess', { agents });
};

/** Calls that never return. */
const hangingTools: Attack = async (hostile) => {
  const { startGoal, random } = hostile;
  await register(hostile, 'shop');
  const agents = [{ name: 'research', tools: ['shop.slow', 'http_request'] }];
  await startGoal(random.pick(['wander', 'linger'] as const), { agents });
};

/** Servers that never list their tools: each holds its request for 20 s, or until the tenant hangs up. */
const hangingServers: Attack = async ({ post, outside, atOnce, random, leaveAfter }) => {
  await atOnce(4, (n) => {
    const body = { name: `slow${n}`, url: outside.never };
    return post('/tools/mcp', body, orTooMany(422), {
      wait: registrationSeconds,
      signal: leaveAfter(random.between(1_000, 4_000)),
    });
  });
};

/** More servers than it may have. */
const manyServers: Attack = async (hostile) => {
  const { atOnce } = hostile;
  await atOnce(limits.mcpServers + 3, (n) => register(hostile, `many${n}`));
  await hostile.get('/tools');
  await atOnce(limits.mcpServers + 3, (n) => remove(hostile, `many${n}`));
};

export const tools = { swappedServers, guessedTools, hangingTools, hangingServers, manyServers };
