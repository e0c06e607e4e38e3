import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Fallen, Fault } from './faults.ts';
import type { Outside } from './outside.ts';
import { workerNames, type ServerName, type Servers } from './servers.ts';

type Setting = { servers: Servers; outside: Outside; signal: AbortSignal };

/** How each fault is brought about. `onFall` hears of it as it falls. */
// Each fault is a few lines over the same setting; apart they would only hand it around.
// oxlint-disable-next-line max-lines-per-function
export function createStrikes({ servers, outside, signal }: Setting, onFall: (record: Fallen) => void) {
  const { model, web, embedder } = outside;

  /** Of code that may be begun again, and of code that may not, what there is less of. */
  const openCode = () => Math.min(web.openBegins('teller'), web.openBegins('courier'));

  function mark(fault: Fault): Fallen {
    const under = {
      open_calls: model.openCalls,
      open_below: outside.openBelow(),
      open_tools: web.openOrders(),
      open_code: openCode(),
      open_embeddings: embedder.openCalls(),
      open_deliveries: outside.openDeliveries(),
    };
    const record = { ...fault, began: Date.now(), ended: Number.POSITIVE_INFINITY, ...under };
    onFall(record);
    return record;
  }

  /** Waits for the moment, for so long as makes sense. */
  async function awaitMoment(holds: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + 45_000;
    while (Date.now() < end && !signal.aborted && !(await holds())) await sleep(20);
  }

  async function countUnsent(): Promise<number> {
    const counted = sql<{ count: number }>`select count(*) as count from outbox`.execute(servers.db);
    return counted.then(
      ({ rows }) => rows[0]!.count,
      () => 0,
    );
  }

  /** The fault is over when what was killed takes work again, which nobody waits for here. */
  async function killFor(record: Fallen, names: ServerName[]): Promise<void> {
    const killed = names.map((name) => servers.get(name));
    await Promise.all(killed.map((server) => server.kill()));
    await sleep(aimsAt(record) ? Math.min(record.lasts, 3_000) : record.lasts);
    await Promise.all(killed.map((server) => server.start()));
    void Promise.all(killed.map((server) => server.ready())).then(() => over(record));
  }

  /** Kills all workers, or those of these names, when there is something that their death can hit. */
  async function killWorkers(
    fault: Fault,
    openNow: () => number,
    names: ServerName[] = [...workerNames],
  ): Promise<Fallen> {
    await awaitMoment(() => openNow() > 0);
    const record = mark(fault);
    await killFor(record, names);
    return record;
  }

  async function killBeforeSignal(fault: Fault): Promise<Fallen> {
    const lines = servers.links.filter(({ from, to }) => from.startsWith('api') && to === 'temporal');
    lines.forEach(({ proxy }) => proxy.silence());
    await awaitMoment(async () => (await countUnsent()) > 0);
    const record = mark(fault);
    const killed = killFor(record, ['api1', 'api2']);
    record.unsent = await countUnsent();
    lines.forEach(({ proxy }) => proxy.heal());
    await killed;
    return record;
  }

  async function killOne(fault: Extract<Fault, { kind: 'kill' | 'freeze' }>): Promise<Fallen> {
    const record = mark(fault);
    const killed = killFor(record, [fault.target]);
    if (fault.target.startsWith('api')) record.unsent = await countUnsent();
    await killed;
    return record;
  }

  /** What is otherwise for a while, and then as it was. */
  async function change(fault: Fault, begin: () => void, end: () => void): Promise<Fallen> {
    const record = mark(fault);
    begin();
    await sleep(fault.lasts);
    end();
    over(record);
    return record;
  }

  return async function strike(fault: Fault): Promise<Fallen> {
    switch (fault.kind) {
      case 'kill':
        return killOne(fault);
      case 'freeze': {
        const server = servers.get(fault.target);
        return change(fault, server.freeze, server.thaw);
      }
      case 'cut':
      case 'silence':
      case 'slow': {
        const { kind, delay_ms } = fault;
        const { proxy } = servers.links.find(({ from, to }) => from === fault.from && to === fault.to)!;
        return change(
          fault,
          () => (kind === 'slow' ? proxy.slow(delay_ms!) : proxy[kind]()),
          () => proxy.heal(),
        );
      }
      case 'model':
        return change(
          fault,
          () => outside.setModel(fault.weather),
          () => outside.setModel(undefined),
        );
      case 'webhook':
        return change(
          fault,
          () => outside.setWebhook(fault.weather),
          () => outside.setWebhook(undefined),
        );
      case 'web':
        return change(
          fault,
          () => web.setWeather(fault.weather),
          () => web.setWeather(undefined),
        );
      case 'kill in a call':
        if (!fault.isFirst) return killWorkers(fault, () => model.openCalls);
        embedder.hold(true);
        return killWorkers(fault, () => Math.min(model.openCalls, embedder.openCalls())).finally(() =>
          embedder.hold(false),
        );
      case 'kill in a chain':
        outside.holdBelow(true);
        return killWorkers(fault, outside.openBelow).finally(() => outside.holdBelow(false));
      case 'kill in code':
        web.holdCode(true);
        return killWorkers(fault, openCode, ['coder']).finally(() => web.holdCode(false));
      case 'kill in a tool':
        web.hold(true);
        return killWorkers(fault, web.openOrders).finally(() => web.hold(false));
      case 'kill in a delivery':
        outside.holdDeliveries(true);
        return killWorkers(fault, outside.openDeliveries).finally(() => outside.holdDeliveries(false));
      case 'kill before the signal':
        return killBeforeSignal(fault);
    }
  };
}

const aimsAt = ({ kind }: Fallen) => kind.startsWith('kill ');

function over(record: Fallen): void {
  record.ended = Date.now();
}
