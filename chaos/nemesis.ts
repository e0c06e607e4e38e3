import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { modelFaults, webhookFaults, type ModelFault, type Outside, type WebhookFault } from './outside.ts';
import type { Random } from './random.ts';
import { webFaults, type WebFault } from './web.ts';
import type { Link, ServerName, Servers, ServiceName } from './servers.ts';
import { serviceNames } from './servers.ts';

/** What is done, to whom, and for how long, in milliseconds. */
type Fault =
  | { kind: 'kill' | 'freeze'; target: ServerName; lasts: number }
  | { kind: 'cut' | 'silence' | 'slow'; from: ServiceName; to: Link['to']; lasts: number; delay_ms?: number }
  | { kind: 'model'; weather: ModelFault; lasts: number }
  | { kind: 'webhook'; weather: WebhookFault; lasts: number }
  | { kind: 'web'; weather: WebFault; lasts: number }
  // Aimed: each waits for its moment, so that no run of this program goes without it.
  | { kind: (typeof aimed)[number]; lasts: number };

const aimed = ['kill in a call', 'kill in a tool', 'kill before the signal', 'kill in a delivery'] as const;

/** A fault as it fell. Times are milliseconds since 1970. */
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

/** Lets faults fall until `signal`, at most two at a time; then every one of them is over. */
export async function unleash(
  {
    servers,
    outside,
    random,
    report,
  }: { servers: Servers; outside: Outside; random: Random; report: (line: string) => void },
  signal: AbortSignal,
): Promise<Fallen[]> {
  const fallen: Fallen[] = [];
  const underway = new Set<Promise<void>>();

  /** Waits for the moment, for so long as makes sense. */
  async function awaitMoment(holds: () => boolean | Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < 1_000 && !signal.aborted && !(await holds()); tries += 1) await sleep(20);
  }

  async function countUnsent(): Promise<number> {
    const counted = sql<{ count: number }>`select count(*) as count from outbox`.execute(servers.db);
    return counted.then(
      ({ rows }) => rows[0]!.count,
      () => 0,
    );
  }

  function mark(fault: Fault): Fallen {
    const under = {
      open_calls: outside.model.openCalls,
      open_tools: outside.web.openOrders(),
      open_deliveries: outside.openDeliveries(),
    };
    const record = { ...fault, began: Date.now(), ended: Number.POSITIVE_INFINITY, ...under };
    fallen.push(record);
    report(describe(record));
    return record;
  }

  async function killFor(names: ServerName[], lasts: number): Promise<void> {
    await Promise.all(names.map((name) => servers.get(name).kill()));
    await sleep(lasts);
    await Promise.all(names.map((name) => servers.get(name).start()));
  }

  async function strike(fault: Fault): Promise<void> {
    const { lasts } = fault;
    switch (fault.kind) {
      case 'kill': {
        const record = mark(fault);
        const killed = killFor([fault.target], lasts);
        if (fault.target.startsWith('api')) record.unsent = await countUnsent();
        await killed;
        return over(record);
      }
      case 'freeze': {
        const record = mark(fault);
        servers.get(fault.target).freeze();
        await sleep(lasts);
        servers.get(fault.target).thaw();
        return over(record);
      }
      case 'cut':
      case 'silence':
      case 'slow': {
        const record = mark(fault);
        const { proxy } = servers.links.find(({ from, to }) => from === fault.from && to === fault.to)!;
        if (fault.kind === 'slow') proxy.slow(fault.delay_ms!);
        else proxy[fault.kind]();
        await sleep(lasts);
        proxy.heal();
        return over(record);
      }
      case 'model': {
        const record = mark(fault);
        outside.setModel(fault.weather);
        await sleep(lasts);
        outside.setModel(undefined);
        return over(record);
      }
      case 'webhook': {
        const record = mark(fault);
        outside.setWebhook(fault.weather);
        await sleep(lasts);
        outside.setWebhook(undefined);
        return over(record);
      }
      case 'web': {
        const record = mark(fault);
        outside.web.setWeather(fault.weather);
        await sleep(lasts);
        outside.web.setWeather(undefined);
        return over(record);
      }
      case 'kill in a tool': {
        outside.web.hold(true);
        await awaitMoment(() => outside.web.openOrders() > 0);
        const record = mark(fault);
        await killFor(['worker1', 'worker2'], Math.min(lasts, 3_000));
        outside.web.hold(false);
        return over(record);
      }
      case 'kill in a call': {
        await awaitMoment(() => outside.model.openCalls > 0);
        const record = mark(fault);
        await killFor(['worker1', 'worker2'], Math.min(lasts, 3_000));
        return over(record);
      }
      case 'kill in a delivery': {
        outside.holdDeliveries(true);
        await awaitMoment(() => outside.openDeliveries() > 0);
        const record = mark(fault);
        await killFor(['worker1', 'worker2'], Math.min(lasts, 3_000));
        outside.holdDeliveries(false);
        return over(record);
      }
      case 'kill before the signal': {
        const lines = servers.links.filter(({ from, to }) => from.startsWith('api') && to === 'temporal');
        lines.forEach(({ proxy }) => proxy.silence());
        await awaitMoment(async () => (await countUnsent()) > 0);
        const record = mark(fault);
        const killed = killFor(['api1', 'api2'], Math.min(lasts, 3_000));
        record.unsent = await countUnsent();
        lines.forEach(({ proxy }) => proxy.heal());
        await killed;
        return over(record);
      }
    }
  }

  for (const { pause, fault, alone } of schedule(random)) {
    await sleep(pause, undefined, { signal }).catch(() => {});
    while (underway.size >= 2 && !signal.aborted) await Promise.race([...underway, sleep(200)]);
    if (signal.aborted) break;
    const strikes = strike(fault).finally(() => underway.delete(strikes));
    underway.add(strikes);
    if (alone) await strikes;
  }
  await Promise.all(underway);
  return fallen;
}

function over(record: Fallen): void {
  record.ended = Date.now();
}

/** Such as "freeze postgres 2.1 s". */
export function describe(fault: Fallen): string {
  const { kind, lasts, began: _, ended: __, open_calls, open_tools, open_deliveries, unsent, ...what } = fault;
  const open = `calls=${open_calls} tools=${open_tools} deliveries=${open_deliveries}`;
  const under = unsent === undefined ? open : `${open} unsent=${unsent}`;
  return `${kind} ${Object.values(what).join(' ')} ${(lasts / 1000).toFixed(1)} s [${under}]`;
}
