import { connect } from 'node:net';
import { limits } from '../limits.ts';
import { orTooMany, type Attack } from './tenant.ts';

/** Answers, connections and deliveries that are kept open. */

const atOnceOpened = limits.openAnswers * 3;

/** A run that waits until it is cancelled. */
const waitingRun: (hostile: Parameters<Attack>[0]) => Promise<string | undefined> = ({ startGoal }) =>
  startGoal('plain', { ask_me_about: ['what there is'] });

/** More streams than there may be, of runs that never go on. */
const manyStreams: Attack = async (hostile) => {
  const { random, atOnce, hold } = hostile;
  const run_id = await waitingRun(hostile);
  if (!run_id) return;
  await atOnce(atOnceOpened, () =>
    hold({ path: `/runs/${run_id}/events`, due: orTooMany(200) }, random.between(2_000, 6_000)),
  );
};

/** More waits than there may be, some of which it hangs up on. */
const manyWaits: Attack = async (hostile) => {
  const { random, atOnce, hold } = hostile;
  const run_id = await waitingRun(hostile);
  if (!run_id) return;
  const paths = [`/runs/${run_id}?wait=5`, `/orchestrations/runs/${run_id}?wait=5`];
  await atOnce(atOnceOpened, () => {
    const path = random.pick(paths);
    const due = path.startsWith('/runs') ? orTooMany(200) : [404, 429];
    return hold({ path, due, wait: 5 }, random.between(500, 6_000));
  });
};

/** Bodies and headers that do not come, on many connections. */
const slowBodies: Attack = async ({ random, atOnce, pause, apis, api_key }) => {
  await atOnce(20, async () => {
    const { hostname, port } = new URL(random.pick(apis).url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => {});
    const head = `POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nX-API-Key: ${api_key}\r\nContent-Type: application/json\r\n`;
    socket.write(random.pick([head, `${head}Content-Length: 1000\r\n\r\n{"task": "xslow`]));
    await pause(random.between(1_000, 4_000));
    socket.destroy();
  });
};

/** Webhooks that nobody takes, and each of them sent again and again. */
const hangingWebhooks: Attack = async ({ startGoal, outside, random, get, post, atOnce, pause }) => {
  const more = { webhook_url: outside.never, ask_me_about: ['what there is'], remind_every: '1s' };
  await atOnce(3, () => startGoal('plain', more));
  await pause(random.between(1_000, 4_000));
  const { body } = await get('/webhooks/deliveries?limit=20');
  const all: { delivery_id: string; subscription_id: string | null }[] = body?.deliveries ?? [];
  // Of a subscription that was deleted since, nothing is sent again.
  const sent = all.filter(({ subscription_id }) => subscription_id === null);
  await Promise.all(
    sent.map(({ delivery_id }) => post(`/webhooks/deliveries/${delivery_id}/redeliver`, undefined, orTooMany(200))),
  );
};

export const held = { manyStreams, manyWaits, slowBodies, hangingWebhooks };
