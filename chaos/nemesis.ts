import { setTimeout as sleep } from 'node:timers/promises';
import { modelFaults, webhookFaults, type ModelFault, type Outside, type WebhookFault } from './outside.ts';
import type { Random } from './random.ts';
import { webFaults, type WebFault } from './web.ts';
import type { Servers } from './servers.ts';
import { serviceNames } from './servers.ts';
import { aimed, describe, hitsOf, type Fallen, type Fault } from './faults.ts';
import { hasSandbox } from './sandbox.ts';
import { createStrikes } from './strikes.ts';

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
  [1, () => ({ kind: 'kill in a chain' })],
  ...(hasSandbox ? [[2, () => ({ kind: 'kill in code' })] as [number, () => Omit<Fault, 'lasts'>]] : []),
  [1, () => ({ kind: 'kill before the signal' })],
  [1, () => ({ kind: 'kill in a delivery' })],
];

function end(random: Random) {
  return { from: random.pick(serviceNames), to: random.pick(['postgres', 'temporal'] as const) };
}

/** How often an aimed fault falls that meets nothing. */
const maxTries = 3;

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
    if (kind === 'kill in code' && !hasSandbox) continue;
    yield { pause: pause(), fault: { kind, lasts: lasts(), isFirst: true }, alone: true };
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
