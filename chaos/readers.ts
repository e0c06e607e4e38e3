import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from './accounts.ts';
import type { Attend } from './attendance.ts';
import type { createCourses } from './course.ts';
import type { Firsts } from './firsts.ts';
import type { Entry } from './journal.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';

/** Those who have an agent do one thing at `/v1`, and wait for it there, or read it token by token; some leave in the middle. */

/** Seconds that they wait at once. */
const waits = [1, 4, 8];
const mostLooks = 20;

type Given = Pick<Requests, 'attempt'> & {
  random: Random;
  firsts: Firsts;
  attend: Attend;
  setCourse: ReturnType<typeof createCourses>;
  isOver: () => boolean;
};

export function createReaders({ attempt, random, firsts, attend, setCourse, isOver }: Given) {
  /** The same request each time, which finds the run again; sometimes its client leaves before its end. */
  function askFor(account: Account, run: string) {
    const isDue = firsts.isDue('agents read token by token') || firsts.isDue('streams cut');
    const isStream = isDue || random.chance(0.7);
    const [careful, plain] = account.agents;
    const path = `/v1/agents/${random.chance(0.3) ? careful : plain}/run`;
    const wait = random.pick(waits);
    const input = `[run:${run}] Compare the market and write a report.`;
    const body = { input, provider_id: random.pick(account.providers), stream: isStream, wait };
    const key = `start-${run}`;
    return async (leaves = false): Promise<Entry> => {
      const leaving = isStream
        ? { leave_after: firsts.isDue('streams cut') ? 1 : random.pick([1, 2, 4]) }
        : { leave_ms: Math.round(random.between(50, 2_500)) };
      const operation = { op: 'start' as const, run, key, wait, isStream };
      const entry = await attempt(account, operation, { method: 'POST', path, body, key, ...(leaves && leaving) });
      const { run_id, result, broke } = (entry.outcome === 'ok' && entry.body) || {};
      if (isStream && result?.status === 'completed') firsts.note('agents read token by token', run_id);
      if (isStream && broke) firsts.note('streams cut', run_id);
      return entry;
    };
  }

  return async function followAgent(account: Account, run: string): Promise<void> {
    const ask = askFor(account, run);
    const leavesSoon = () => firsts.isDue('streams cut') || random.chance(0.5);
    let asked = await ask(leavesSoon());
    for (; asked.outcome !== 'ok' && !isOver(); asked = await ask()) await sleep(random.between(200, 1_000));
    if (asked.outcome !== 'ok') return;
    const { run_id } = asked.body;
    let hasEnded = false;
    const attended = attend(account, run_id, setCourse(account, run_id, 'plain')).finally(() => (hasEnded = true));
    for (; !hasEnded && !isOver(); await sleep(random.between(300, 1_500))) await ask(leavesSoon());
    await attended;
    // What it has come to is told whoever has followed it, and whoever has not.
    for (let looks = 1; looks <= mostLooks && !isOver() && (await ask()).outcome !== 'ok'; looks += 1) await sleep(500);
  };
}
