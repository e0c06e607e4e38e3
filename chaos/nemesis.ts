import { setTimeout as sleep } from 'node:timers/promises';
import { modelFaults, webhookFaults, type ModelFault, type Outside, type WebhookFault } from './outside.ts';
import type { Random } from './random.ts';
import { webFaults, type WebFault } from './web.ts';
import type { Link, ServerName, Servers, ServiceName } from './servers.ts';
import { serviceNames } from './servers.ts';
import { createStrikes } from './strikes.ts';

/** What is done, to whom, and for how long, in milliseconds. */
export type Fault =
  | { kind: 'kill' | 'freeze'; target: ServerName; lasts: number }
  | { kind: 'cut' | 'silence' | 'slow'; from: ServiceName; to: Link['to']; lasts: number; delay_ms?: number }
  | { kind: 'model'; weather: ModelFault; lasts: number }
  | { kind: 'webhook'; weather: WebhookFault; lasts: number }
  | { kind: 'web'; weather: WebFault; lasts: number }
  // Aimed: each waits for its moment, and falls again when it has met nothing, so that no run of this program goes without.
  | { kind: (typeof aimed)[number]; lasts: number };

const aimed = ['kill in a call', 'kill in a tool', 'kill before the signal', 'kill in a delivery'] as const;

/** A fault as it fell. Times are milliseconds since 1970; it has ended when what was killed takes work again. */
export type Fallen = Fault & {
  began: number;
  ended: number;
  /** What was under way when it fell. */
  open_calls: number;
  open_tools: number;
  open_deliveries: number;
  /** Rows of the outbox just after an API was killed: committed, and Temporal has not heard of it. */
  unsent?: number;
};

const weighted: [number, (random: Random) => Omit<Fault, 'lasts'>][] = [
  [
    5,
    (random) => ({
      kind: 'kill',
      target: random.pick([...serviceNames, 'worker1', 'worker2', 'postgres', 'temporal']),
    }),
  ],
  [4, (random) => ({ kind: 'freeze', target: random.pick([...serviceNames, 'postgres', 'temporal']) })],
  [2, (random) => ({ kind: 'cut', ...end(random) })],
  [3, (random) => ({ kind: 'silence', ...end(random) })],
  [2, (random) => ({ kind: 'slow', ...end(random), delay_ms: Math.round(random.between(30, 500)) })],
  [6, (random) => ({ kind: 'model', weather: random.pick(Object.keys(modelFaults) as ModelFault[]) })],
  [2, (random) => ({ kind: 'webhook', weather: random.pick(Object.keys(webhookFaults) as WebhookFault[]) })],
  [1, (random) => ({ kind: 'web', weather: random.pick(Object.keys(webFaults) as WebFault[]) })],
  [2, () => ({ kind: 'kill in a call' })],
  [2, () => ({ kind: 'kill in a tool' })],
  [1, () => ({ kind: 'kill before the signal' })],
  [1, () => ({ kind: 'kill in a delivery' })],
];

function end(random: Random) {
  return { from: random.pick(serviceNames), to: random.pick(['postgres', 'temporal'] as const) };
}

/** How often an aimed fault falls that meets nothing. */
const maxTries = 3;

/** What fault of the aimed ones met what it was aimed at: how often. */
export function hitsOf({ kind, open_calls, open_tools, open_deliveries, unsent = 0 }: Fallen): number {
  switch (kind) {
    case 'kill in a call':
      return open_calls;
    case 'kill in a tool':
      return open_tools;
    case 'kill in a delivery':
      return open_deliveries;
    default:
      return unsent;
  }
}

/** Draws faults from the seed, with the pauses before them: first the aimed ones, then any. */
function* schedule(random: Random): Generator<{ pause: number; fault: Fault; alone?: boolean }> {
  const total = weighted.reduce((sum, [weight]) => sum + weight, 0);
  const lasts = () => Math.round(random.between(500, random.chance(0.2) ? 12_000 : 5_000));
  const drawn = (): Fault => {
    let roll = random.next() * total;
    const [, make] = weighted.find(([weight]) => (roll -= weight) < 0)!;
    return { ...make(random), lasts: lasts() } as Fault;
  };
  const pause = () => random.between(500, 4_000);
  for (const kind of aimed) {
    yield { pause: pause(), fault: { kind, lasts: lasts() }, alone: true };
  }
  for (;;) yield { pause: pause(), fault: drawn() };
}

type Setting = { servers: Servers; outside: Outside; random: Random; report: (line: string) => void };

/**
 * Lets faults fall until `signal`, at most two at a time. `aimed` resolves when each of the aimed ones has met its moment,
 * or cannot; `fallen` when nothing falls any more.
 */
export function unleash({ servers, outside, random, report }: Setting, signal: AbortSignal) {
  const fallen: Fallen[] = [];
  const strike = createStrikes({ servers, outside, signal }, (record) => {
    fallen.push(record);
    report(describe(record));
  });
  const aimed = Promise.withResolvers<void>();

  async function fall(): Promise<Fallen[]> {
    const underway = new Set<Promise<unknown>>();
    for (const { pause, fault, alone } of schedule(random)) {
      if (!alone) aimed.resolve();
      for (let tries = 1; ; tries += 1) {
        await sleep(pause, undefined, { signal }).catch(() => {});
        while (underway.size >= 2 && !signal.aborted) await Promise.race([...underway, sleep(200)]);
        if (signal.aborted) break;
        const strikes = strike(fault).finally(() => underway.delete(strikes));
        underway.add(strikes);
        if (!alone || tries === maxTries || hitsOf(await strikes) > 0) break;
      }
      if (signal.aborted) break;
    }
    aimed.resolve();
    await Promise.all(underway);
    return fallen;
  }

  return { aimed: aimed.promise, fallen: fall() };
}

/** Such as "freeze postgres 2.1 s". */
export function describe(fault: Fallen): string {
  const { kind, lasts, began: _, ended: __, open_calls, open_tools, open_deliveries, unsent, ...what } = fault;
  const open = `calls=${open_calls} tools=${open_tools} deliveries=${open_deliveries}`;
  const under = unsent === undefined ? open : `${open} unsent=${unsent}`;
  return `${kind} ${Object.values(what).join(' ')} ${(lasts / 1000).toFixed(1)} s [${under}]`;
}
