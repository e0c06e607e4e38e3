import { setTimeout as sleep } from 'node:timers/promises';
import { skill, type Account } from './accounts.ts';
import type { Course } from './course.ts';
import { limits } from './limits.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';
import { laterOf } from './shapes.ts';

/** Those who start more runs at once than their account may have active: the others wait for their turn. */

/** How many they start together. */
const crowd = limits.activeRuns + 6;

type Given = Pick<Requests, 'insist'> & {
  random: Random;
  attend: (account: Account, run_id: string, course: Course) => Promise<unknown>;
  cancel: (account: Account, run_id: string, isOrchestration: boolean) => Promise<unknown>;
  setCourse: (account: Account, run_id: string, shape: 'plain') => Course;
};

export function createCrowd({ insist, random, attend, cancel, setCourse }: Given) {
  async function putOff(account: Account, run_id: string): Promise<void> {
    await sleep(random.between(0, 3_000));
    const { start_in, start_in_ms } = laterOf(random, 1);
    const request = { method: 'PATCH', path: `/runs/${run_id}`, body: { start_in } };
    await insist(account, { op: 'put off', run_id, n: 1, start_in_ms: start_in_ms! }, request);
  }

  /** One of them; some wait for a time besides, are put off, or are cancelled while they wait. */
  async function drive(account: Account, run: string): Promise<void> {
    const { start_in, start_in_ms } = laterOf(random, 0.3);
    const isContext = random.chance(0.5);
    const body = {
      task: `[run:${run}] Compare the market and write a report.`,
      provider_id: random.pick(account.providers),
      start_in,
      ...(random.chance(0.5) && { webhook_url: account.webhook_url }),
      ...(isContext && { ask_me_about: [{ about: 'the audience', skills: [skill] }] }),
    };
    const key = `start-${run}`;
    const operation = { op: 'start' as const, run, key, start_in_ms };
    const started = await insist(account, operation, { method: 'POST', path: '/runs', body, key });
    if (started.outcome !== 'ok') return;
    const { run_id } = started.body;
    const course = setCourse(account, run_id, 'plain');
    const turn = random.next();
    const regret = turn < 0.15 && sleep(random.between(0, 6_000)).then(() => cancel(account, run_id, false));
    await Promise.all([attend(account, run_id, course), regret, turn > 0.8 && putOff(account, run_id)]);
  }

  return async (account: Account, name: string): Promise<void> => {
    await Promise.all(Array.from({ length: crowd }, (_, n) => drive(account, `${name}-${n + 1}`)));
  };
}
