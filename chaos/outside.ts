import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { startFakeModel, type ModelCall, type Purpose, type Reply } from '../test/fakes/model.ts';
import { fakeTokens, type FakeVendor } from '../test/fakes/wire.ts';
import { startFakeWebhook, type WebhookReply } from '../test/fakes/webhook.ts';
import { scriptRun } from '../test/harness/script.ts';
import { agentReply, below_mark, late_mark } from './agent.ts';
import { startEmbedder } from './embedder.ts';
import type { Random } from './random.ts';
import { startWeb } from './web.ts';

/** The world outside Orchflow: model servers, a customer's webhook endpoint and the web, each with its bad hours. */

export const modelFaults = {
  'rate limit, seconds': () => ({ status: 429, headers: { 'retry-after': '2' } }),
  'rate limit, date': () => ({ status: 429, headers: { 'retry-after': new Date(Date.now() + 3_000).toUTCString() } }),
  'rate limit': () => ({ status: 429 }),
  'error 500': () => ({ status: 500, body: '<html>Internal Server Error</html>' }),
  'key refused': () => ({ status: 401 }),
  overloaded: () => ({ status: 529 }),
  'hang before headers': () => ({ hang: 'before_headers' as const }),
  'hang after headers': () => ({ hang: 'after_headers' as const }),
  cut: () => ({ cut: true as const }),
  'no end mark': () => ({ finish: 'none' as const, text: 'The first half of an ans' }),
  garbage: () => ({ status: 200, body: '}{ this is no JSON' }),
  null: () => ({ status: 200, body: 'null' }),
  refusal: () => ({ finish: 'refusal' as const, text: 'I cannot help with that.' }),
  truncated: () => ({ finish: 'length' as const, text: '{"tasks": [{"title": "Half a pl' }),
  '5 MB': () => 'x'.repeat(5 * 1024 * 1024),
} satisfies Record<string, () => Reply>;
export type ModelFault = keyof typeof modelFaults;

export const webhookFaults = {
  hang: () => ({ hang: true as const }),
  redirect: () => ({ status: 307, headers: { location: 'http://127.0.0.1:9/elsewhere' } }),
  'error 500': () => ({ status: 500 }),
} satisfies Record<string, () => WebhookReply>;
export type WebhookFault = keyof typeof webhookFaults;

/** The key of a provider that is refused most of the time has this in it. */
export const expiredMark = 'expired';

/** Of the description of a tool. */
const shownLength = 40;

/** A call as it reached the model. Times are milliseconds since 1970. */
export type CallEntry = {
  /** The key of the call in Orchflow's journal, from its Idempotency-Key. */
  call_id: string;
  run_id: string;
  purpose: Purpose;
  vendor: FakeVendor;
  task_id?: string;
  prompt: string;
  /** The tokens that it may use: what it is asked, and the longest answer that it allows. */
  most_tokens: number;
  /** The tools that it was offered, with how their description begins. */
  offered: { name: string; description: string }[];
  /** What it was told of the tools that it had called, in their order. */
  results: string[];
  received_at: number;
  /** When the answer was sent; undefined while none was. */
  answered_at?: number;
  closed_at?: number;
  /** The client hung up before it had the whole answer. */
  client_closed: boolean;
  fault?: ModelFault;
};

/** A delivery as it reached the webhook. `status` is what it was answered; undefined for nothing. */
export type DeliveryEntry = {
  id: string;
  path: string;
  body: string;
  payload: { run_id: string; event: string; type?: string; data?: Record<string, unknown> };
  at: number;
  status?: number;
  verified: boolean;
};

const plan = ['Research the market', 'Analyse the prices', 'Analyse the channels', 'Write the report'];
const dependencies = { T2: ['T1'], T3: ['T1'], T4: ['T2', 'T3'] };

/** The text that marks a model's output, so that it can be found again in the prompts after it. */
export const outputMark = (call_id: string) => `made-by-${call_id}`;

export type Outside = Awaited<ReturnType<typeof startOutside>>;

export async function startOutside(random: Random) {
  const [model, web, embedder] = await Promise.all([
    startFakeModel(),
    startWeb(random.fork('web')),
    startEmbedder(random.fork('embedder')),
  ]);
  const faults = new Map<ModelCall, ModelFault>();
  let modelWeather: ModelFault | undefined;
  let below: PromiseWithResolvers<void> | undefined;
  scriptRun(model, {
    plan,
    execute: (call) => agentReply(call, web.url, random) ?? `A text about the goal. ${outputMark(callId(call))}`,
    evaluate: () => (random.chance(0.08) ? { passed: false, score: 0.2, feedback: 'Too short.' } : undefined),
    // T1 is a person's when context is asked for, and the plan begins at T2.
    infer: ({ prompt }) => ({ dependencies: shifted(Number(/T(\d+): Research/.exec(prompt)?.[1] ?? 1) - 1) }),
  });
  model.on(async (call) => {
    await sleep(random.chance(0.3) ? random.between(300, 1_500) : random.between(20, 150));
    if (isOf(call, below_mark)) await below?.promise;
    const isExpired = call.api_key?.includes(expiredMark) && random.chance(0.7);
    // Whether a key is good is a matter of one provider: runs that name the other as their fallback go on.
    const isSpared = modelWeather === 'key refused' && call.vendor !== 'openai';
    const inWeather = isSpared || random.chance(0.3) ? undefined : modelWeather;
    const fault = isOf(call, late_mark) ? 'hang before headers' : isExpired ? 'key refused' : inWeather;
    if (!fault) return undefined;
    faults.set(call, fault);
    return modelFaults[fault]();
  });

  const webhook = await startFakeWebhook();
  const deliveries: DeliveryEntry[] = [];
  const verifiers = new Map<string, Webhook>();
  let webhookWeather: WebhookFault | undefined;
  let held = false;
  webhook.answer((request) => {
    const weather = held ? 'hang' : webhookWeather;
    const reply = weather ? webhookFaults[weather]() : { status: 204 };
    const status = 'hang' in reply ? undefined : reply.status;
    const { path, body, payload, headers } = request;
    const verified = isSignedBy(verifiers.get(path), body, headers as Record<string, string>);
    deliveries.push({ id: String(headers['webhook-id']), path, body, payload, at: Date.now(), status, verified });
    return reply;
  });

  return {
    model,
    web,
    embedder,
    openDeliveries: () =>
      deliveries.filter(({ status, at }) => status === undefined && at > Date.now() - 10_000).length,
    /** Calls of agents that another agent has called. */
    openBelow: () => model.calls.filter((call) => isOf(call, below_mark) && call.closed_at === undefined).length,
    /** Answers none of those meanwhile. */
    holdBelow(hold: boolean) {
      below?.resolve();
      below = hold ? Promise.withResolvers() : undefined;
    },
    setModel(weather: ModelFault | undefined) {
      modelWeather = weather;
      embedder.setWeather(weather);
    },
    /** Whatever the weather, deliveries stay open. */
    holdDeliveries: (hold: boolean) => (held = hold),
    setWebhook: (weather: WebhookFault | undefined) => (webhookWeather = weather),
    /** The URL of an account's endpoint, whose signatures are checked with its secret as they come. */
    endpoint(account: string, secret: string) {
      verifiers.set(`/hook/${account}`, new Webhook(secret));
      return `${webhook.url}/${account}`;
    },
    deliveries,
    calls: () => model.calls.map((call) => entryOf(call, faults.get(call))),
    async close() {
      web.down();
      await Promise.all([model.close(), webhook.close(), embedder.close()]);
    },
  };
}

/** What is kept of a call. */
export function entryOf(call: ModelCall, fault?: ModelFault): CallEntry {
  const epoch = (time?: number) => (time === undefined ? undefined : performance.timeOrigin + time);
  const call_id = callId(call);
  const { purpose, vendor, task_id, prompt, received_at, answered_at, closed_at, client_closed } = call;
  return {
    call_id,
    run_id: call_id.split('/')[0]!,
    purpose,
    vendor,
    task_id,
    prompt,
    most_tokens: fakeTokens(call.system + call.prompt) + call.max_output_tokens!,
    offered: call.tools.map(({ name, description }) => ({ name, description: description.slice(0, shownLength) })),
    results: call.calls.map(({ result }) => result ?? ''),
    received_at: epoch(received_at)!,
    answered_at: epoch(answered_at),
    closed_at: epoch(closed_at),
    client_closed,
    fault,
  };
}

const isOf = ({ prompt }: ModelCall, mark: string) => prompt.includes(mark);

function shifted(by: number) {
  const shift = (id: string) => `T${Number(id.slice(1)) + by}`;
  return Object.entries(dependencies).map(([id, on]) => ({ task_id: shift(id), depends_on: on.map(shift) }));
}

/** Without the mode of the JSON ladder, which the adapters add. */
function callId({ headers }: ModelCall): string {
  return String(headers['idempotency-key']).replace(/-[a-z]+$/, '');
}

function isSignedBy(verifier: Webhook | undefined, body: string, headers: Record<string, string>): boolean {
  try {
    verifier!.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}
