import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { createDb } from '../../db/index.ts';
import { register } from '../../test/harness/client.ts';
import type { Api } from '../requests.ts';
import { createRandom, type Random } from '../random.ts';
import { agents } from './agents.ts';
import { callers } from './callers.ts';
import { createDoor } from './door.ts';
import { doors } from './doors.ts';
import { files } from './files.ts';
import { held } from './held.ts';
import { keys } from './keys.ts';
import { others } from './others.ts';
import { startHostileOutside } from './outside.ts';
import { createSpy } from './spy.ts';
import { createTenant, type Attack } from './tenant.ts';
import { tools } from './tools.ts';
import { work } from './work.ts';

/**
 * The hostile tenant, with all that it has outside, in a thread of its own: what it does costs the others no turn of the
 * loop that their lines and their model are in. It begins at once, and ends when it is told to leave and has done everything once.
 */

export type Given = { apis: Api[]; databaseUrl: string; seed: number };
/** What it has done, and what was answered. */
export type Report = Awaited<ReturnType<typeof begin>>;

const attacks: Record<string, Attack> = {
  ...work,
  ...held,
  ...tools,
  ...doors,
  ...keys,
  ...files,
  ...agents,
  ...callers,
  ...others,
};
/** They come more often than the others: it takes luck to swap a server in the right moment. */
const often = ['swappedServers', 'swappedServers'];
/** For the end of what it has begun. */
const patience = 200_000;
/** Attacks that go on at the same time. */
const hands = 2;
/** How long each hand rests at most, in milliseconds: less until all have come, for a short run of the program. */
const rest = { first: 2_500, later: 8_000 };

/** One after another in an order that the seed draws, so that all come before any comes again. */
function createOrder(random: Random): () => string {
  const order = [...Object.keys(attacks), ...often];
  let turn = 0;
  return () => {
    if (turn % order.length === 0) {
      for (let last = order.length - 1; last > 0; last -= 1) {
        const other = Math.floor(random.between(0, last + 1));
        [order[last], order[other]] = [order[other]!, order[last]!];
      }
    }
    return order[turn++ % order.length]!;
  };
}

/** Told to leave, it goes as soon as all attacks have come. */
const told = new AbortController();
const leaving = new AbortController();
parentPort!.once('message', () => told.abort());
parentPort!.postMessage(await begin(workerData as Given));

async function begin({ apis, databaseUrl, seed }: Given) {
  const random = createRandom(seed).fork('hostile');
  const outside = await startHostileOutside();
  const user = await register(apis[0]!.url);
  const provider_key = 'sk-canaryx0123456789';
  const provider_id = await user.addProvider(outside.model, 'openai', { api_key: provider_key });
  const db = createDb(databaseUrl, 2);
  const { account_id } = await db
    .selectFrom('accounts')
    .select('account_id')
    .where('email', '=', user.email)
    .executeTakeFirstOrThrow();
  const { api_key, webhook_secret } = user;
  const door = createDoor({ apis, api_key, random });
  const { signal } = leaving;
  const spy = createSpy(db, account_id);
  const as = createTenant({ door, random, outside, spy, apis, api_key, provider_id, signal });

  parentPort!.postMessage('opened');
  const next = createOrder(random);
  const done = new Set<string>();
  let turns = 0;
  const isOver = () => told.signal.aborted && done.size === Object.keys(attacks).length;
  const leaveWhenOver = () => isOver() && leaving.abort();
  told.signal.addEventListener('abort', leaveWhenOver);
  const atWork = Array.from({ length: hands }, async () => {
    while (!isOver()) {
      const attack = next();
      const hostile = as(attack);
      await hostile.makeRoom();
      await attacks[attack]!(hostile);
      turns += 1;
      done.add(attack);
      leaveWhenOver();
      const longest = done.size < Object.keys(attacks).length ? rest.first : rest.later;
      await sleep(random.between(500, longest), undefined, { signal: told.signal }).catch(() => {});
    }
  });
  await Promise.all(atWork);

  await cancelAll(as('leaving'), () => outside.model.openCalls);
  const { calls, toolCalls } = outside;
  const report = {
    account: { account_id, api_key, webhook_secret, provider_key },
    /** How many attacks it has made. */
    attacks: turns,
    exchanges: door.exchanges,
    held: door.held,
    calls: calls(),
    toolCalls,
  };
  await Promise.all([outside.close(), db.destroy()]);
  return report;
}

/** Ends all that it has begun, so that what is looked at afterwards does not change any more. */
async function cancelAll({ get, cancel }: ReturnType<ReturnType<typeof createTenant>>, openCalls: () => number) {
  const end = Date.now() + patience;
  for (let open = [''] as string[]; (open.length > 0 || openCalls() > 0) && Date.now() < end; await sleep(500)) {
    const lists = await Promise.all(
      ['pending', 'running', 'waiting_human'].map((status) => get(`/runs?status=${status}&limit=100`)),
    );
    open = lists.flatMap(({ body }) => body?.runs?.map(({ run_id }: { run_id: string }) => run_id) ?? ['unknown']);
    await Promise.all(open.filter((run_id) => run_id !== 'unknown').map(cancel));
  }
}
