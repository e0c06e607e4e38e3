import type { RunView, TaskView } from '../db/run-views.ts';
import { timeoutActions } from '../workflows/contract/gate-terms.ts';
import type { Decision } from '../workflows/contract/states.ts';
import { skill, type Account } from './accounts.ts';
import type { Random } from './random.ts';

/** What clients ask for, and what people answer. */

const shapes = [
  'plain',
  'context',
  'gated',
  'approvals',
  'timed',
  'budgeted',
  'cancelled',
  'keyless',
  'failover',
  'rerun',
  'held',
  'sent back',
  'steered',
  'agent',
  'orchestrated',
] as const;
export type Shape = (typeof shapes)[number];

/**
 * One after another from a place that the seed draws, so that a few runs have all of them. Orchestrations come twice.
 * `isAgain` once there was one of each.
 */
export function createShapes(random: Random): () => { shape: Shape; isAgain: boolean } {
  const order = [...shapes, 'orchestrated' as const];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random.between(0, last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  let turn = 0;
  return () => {
    const [shape, isAgain] = [order[turn % order.length]!, turn >= order.length];
    turn += 1;
    return { shape, isAgain };
  };
}

/**
 * The body of `POST /runs`. Its agents have tools more often than not, and always when they are to have some; those of the
 * writer are approved by people.
 */
export function requestOf(
  shape: Shape,
  run: string,
  account: Account,
  { random, withTools }: { random: Random; withTools: boolean },
): Record<string, unknown> {
  const tools = withTools || random.chance(0.6) ? ['run_javascript', 'http_request'] : undefined;
  const careful = tools && [{ name: 'http_request', require_approval: true }];
  return {
    task: `[run:${run}] Compare the market and write a report.`,
    provider_id: random.pick(account.providers),
    agents: [
      { name: 'research', tools },
      { name: 'writer', tools: careful },
    ],
    ...(random.chance(0.8) && { webhook_url: account.webhook_url }),
    ...partsOf(shape, account, random),
  };
}

function partsOf(shape: Shape, account: Account, random: Random): object {
  switch (shape) {
    case 'context':
      return {
        ask_me_about: [{ about: 'the audience', skills: [skill] }],
        human_gates: [{ name: 'sign-off', skills: [skill] }],
      };
    case 'gated':
      return { human_gates: ['sign-off', { name: 'write the report', skills: [skill] }] };
    case 'approvals':
      return { require_approval: true };
    case 'timed':
      return {
        ask_me_about: ['the audience'],
        human_gates: [{ name: 'sign-off', gate_due_in: '2s', on_timeout: random.pick(timeoutActions) }],
        gate_due_in: '3s',
        remind_every: '1s',
        on_timeout: random.pick(timeoutActions),
        escalation_webhook_url: account.escalation_url,
      };
    case 'budgeted':
      // Enough for the plan and one call of a task, of which the next asks for more.
      return { max_tokens: 9_500, on_budget: random.chance(0.85) ? 'gate' : 'fail' };
    case 'sent back':
      return { human_gates: ['sign-off'] };
    case 'steered':
      // It waits for a person before it can complete, so that there is time for all that is done to it.
      return random.chance(0.5) ? { require_approval: true } : { human_gates: ['sign-off'] };
    case 'failover':
      return { provider_id: account.expired, fallback_provider_ids: [account.providers[1]] };
    default:
      return {};
  }
}

/** Sometimes a run is to begin later, as the body of its start says, and in milliseconds. */
export function laterOf(random: Random, chance: number): { start_in?: string; start_in_ms?: number } {
  if (!random.chance(chance)) return {};
  const seconds = random.pick([1, 3, 6]);
  return { start_in: `${seconds}s`, start_in_ms: seconds * 1_000 };
}

/** What a person says at a gate: the body of the request that answers it. */
export type Answer = { decision: Decision; output?: string; send_back_to?: string; attachments?: string[] };

/** `mayReject`: whether it may be sent back; a run must end. `text` is told from all other answers. */
export function answerTo(
  task: TaskView,
  { mayReject, text, web }: { mayReject: boolean; text: string; web: string },
  random: Random,
): Answer {
  const { kind } = task.gate!;
  if (kind === 'human_step')
    return { decision: 'approve', output: JSON.stringify(formOf(task, mayReject, text, random)) };
  const decision = choose(task, mayReject, random);
  if (kind === 'tool_approval' && decision === 'edit') {
    return { decision, output: JSON.stringify({ url: `${web}/careful`, method: 'POST', body: text }) };
  }
  const isWork = kind !== 'budget' && decision !== 'retry';
  const isEnough = decision === 'approve' && (task.kind !== 'human' || kind === 'tool_approval');
  return isWork && !isEnough ? { decision, output: text } : { decision };
}

function formOf(task: TaskView, mayReject: boolean, text: string, random: Random): object {
  if (task.step_id !== 'review') return { audience: text };
  return { decision: mayReject && random.chance(0.3) ? 'again' : 'approve', notes: text };
}

function choose(task: TaskView, mayReject: boolean, random: Random): Decision {
  const { kind, decisions } = task.gate!;
  if (decisions.length === 1) return decisions[0]!;
  if (kind === 'escalation')
    return task.output !== null && random.chance(0.3) ? 'approve' : random.pick(['retry', 'edit'] as const);
  if (kind === 'budget') return random.chance(0.9) ? 'approve' : 'reject';
  if (kind !== 'approval' && kind !== 'tool_approval') return random.pick(['approve', 'edit'] as const);
  const roll = random.next();
  return roll < 0.6 ? 'approve' : roll < 0.8 || !mayReject ? 'edit' : 'reject';
}

/**
 * Asks for a task of an ended run to be done again, and sometimes gives another text in place of what stands before it.
 * Undefined when there is nothing to be done again.
 */
export function rerunOf(run: RunView, text: string, random: Random) {
  return run.orchestration_id ? stepsAgainOf(run, text, random) : tasksAgainOf(run, text, random);
}

/** From any step that is done; of a run that did not get to its end, also from the first that is not. */
function stepsAgainOf({ tasks }: RunView, text: string, random: Random) {
  const done = tasks.filter(({ status }) => status === 'completed');
  const first = tasks.find(({ status }) => status !== 'completed');
  const from = random.pick(first ? [...done, first] : done);
  const edits: Record<string, string> = random.chance(0.5) && from?.step_id !== 'gather' ? { facts: text } : {};
  return from && { from_task: from.id, edits };
}

function tasksAgainOf({ tasks }: RunView, text: string, random: Random) {
  const planned = tasks.filter(({ id }) => /^T[1-4]$/.test(id));
  if (planned.length < 2) return undefined;
  const from = random.pick(planned.slice(1));
  const before = planned.filter(({ id }) => from.depends_on.includes(id));
  const edits: Record<string, string> = random.chance(0.4) && before[0] ? { [before[0].id]: text } : {};
  return { from_task: from.id, edits };
}
