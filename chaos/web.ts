import { setTimeout as sleep } from 'node:timers/promises';
import { startFakeWeb, type WebAnswer } from '../test/fakes/web.ts';
import type { Random } from './random.ts';

/** A service on the web that agents order from with `http_request`, and that the code of agents tells when it begins. */

export const webFaults = {
  'error 500': (): WebAnswer => ({ status: 500, body: 'Out of order.' }),
  redirect: (): WebAnswer => ({ status: 307, headers: { location: 'http://127.0.0.1:9/elsewhere' } }),
  cut: (): WebAnswer => ({ cut: true }),
};
export type WebFault = keyof typeof webFaults;

/** A request as it reached the service. Times are milliseconds since 1970. */
export type OrderEntry = {
  /** From its Idempotency-Key: the call in Orchflow's journal. */
  call_id: string;
  path: string;
  body: string;
  at: number;
  /** When it was answered, with `receipt` unless there was a fault. */
  answered_at?: number;
  receipt: string;
  fault?: WebFault;
};

/** Code that has begun, as it says itself: once in each process. Times are milliseconds since 1970. */
export type BeginEntry = {
  /** The name of its agent, and of its run the beginning of the UUID. */
  agent: string;
  request_id: string;
  at: number;
  /** When it was told `receipt`, which is to be in its output. */
  answered_at?: number;
  receipt: string;
};

/** So long code may be held: less than it has. */
const longestHold_ms = 20_000;

/** Where code says that it begins. */
export const beginPath = '/begins';

export async function startWeb(random: Random) {
  const orders: OrderEntry[] = [];
  const begins: BeginEntry[] = [];
  let weather: WebFault | undefined;
  let held: PromiseWithResolvers<void> | undefined;
  let heldCode: PromiseWithResolvers<void> | undefined;
  const heldAgents = new Set<string>();

  /** One of each agent at a time: code that is held keeps its place, and the other kind needs one too. */
  async function holdOne(agent: string, released: Promise<void>) {
    if (heldAgents.has(agent)) return;
    heldAgents.add(agent);
    await Promise.race([released, sleep(longestHold_ms)]);
    heldAgents.delete(agent);
  }

  async function begin(body: string) {
    const [agent, request_id] = body.split(' ') as [string, string];
    const entry: BeginEntry = { agent, request_id, at: Date.now(), receipt: `begin-${begins.length + 1}` };
    begins.push(entry);
    await sleep(random.between(100, 1_500));
    if (heldCode) await holdOne(agent, heldCode.promise);
    entry.answered_at = Date.now();
    return { body: entry.receipt };
  }

  const web = await startFakeWeb(async ({ path, headers, body }) => {
    if (path === beginPath) return begin(body);
    const receipt = `receipt-${orders.length + 1}`;
    const order: OrderEntry = { call_id: String(headers['idempotency-key']), path, body, at: Date.now(), receipt };
    orders.push(order);
    await sleep(random.between(20, 400));
    await held?.promise;
    order.answered_at = Date.now();
    if (!weather) return { body: `Done: ${receipt}.` };
    order.fault = weather;
    return webFaults[weather]();
  });
  return {
    ...web,
    orders,
    begins,
    openBegins: (of: string) =>
      begins.filter(({ agent, answered_at }) => answered_at === undefined && agent === of).length,
    /** Tells code nothing meanwhile. */
    holdCode(hold: boolean) {
      heldCode?.resolve();
      heldCode = hold ? Promise.withResolvers() : undefined;
    },
    openOrders: () => orders.filter(({ answered_at }) => answered_at === undefined).length,
    setWeather: (next: WebFault | undefined) => (weather = next),
    /** Answers nothing meanwhile. */
    hold(hold: boolean) {
      held?.resolve();
      held = hold ? Promise.withResolvers() : undefined;
    },
  };
}
