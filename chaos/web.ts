import { setTimeout as sleep } from 'node:timers/promises';
import { startFakeWeb, type WebAnswer } from '../test/fakes/web.ts';
import type { Random } from './random.ts';

/** A service on the web that agents order from with `http_request`. */

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

export async function startWeb(random: Random) {
  const orders: OrderEntry[] = [];
  let weather: WebFault | undefined;
  let held: PromiseWithResolvers<void> | undefined;
  const web = await startFakeWeb(async ({ path, headers, body }) => {
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
    openOrders: () => orders.filter(({ answered_at }) => answered_at === undefined).length,
    setWeather: (next: WebFault | undefined) => (weather = next),
    /** Answers nothing meanwhile. */
    hold(hold: boolean) {
      held?.resolve();
      held = hold ? Promise.withResolvers() : undefined;
    },
  };
}
