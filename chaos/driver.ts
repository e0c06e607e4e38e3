import { setTimeout as sleep } from 'node:timers/promises';
import type { RunView } from '../db/run-views.ts';
import type { Account } from './accounts.ts';
import type { Attend, createEnds } from './attendance.ts';
import type { Course, createCourses } from './course.ts';
import type { Files } from './files.ts';
import type { Firsts } from './firsts.ts';
import type { createForgetting } from './forgetting.ts';
import { definition } from './orchestration.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';
import { createShapes, laterOf, requestOf, rerunOf, type Shape } from './shapes.ts';

/** Of a run: whether it is late and to have what others may have, or the shape that is due. */
export type Driven = { due?: Shape; isLate?: boolean };

/** What may be held beside what is made for it. */
const mayBeHeld: Shape[] = ['approvals', 'failover', 'agent', 'orchestrated'];

type Given = Pick<Requests, 'attempt' | 'insist'> &
  Pick<ReturnType<typeof createEnds>, 'cancel'> & {
    random: Random;
    firsts: Firsts;
    files: Files;
    attend: Attend;
    setCourse: ReturnType<typeof createCourses>;
    forgetting: ReturnType<typeof createForgetting>;
    isHurried: () => boolean;
  };

export type Driver = ReturnType<typeof createDriver>;

/** Those who start runs of each shape, and see them through. */
export function createDriver({
  attempt,
  insist,
  cancel,
  random,
  firsts,
  files,
  attend,
  setCourse,
  forgetting,
  isHurried,
}: Given) {
  const nextShape = createShapes(random);
  /** Whose the runs are whose tasks were steered. */
  const steered = new Map<string, Account>();

  /** Starts one run and brings it to its end, as the person behind it: of the next shape, or for the sake of what is due. */
  async function drive(account: Account, run: string, { due, isLate = false }: Driven = {}): Promise<void> {
    const { shape, isAgain } = due ? { shape: due, isAgain: true } : nextShape();
    const key = shape === 'keyless' ? undefined : `start-${run}`;
    const isOrchestration = shape === 'orchestrated';
    const wait = isOrchestration ? random.pick([0, 2]) : undefined;
    const { task, provider_id, webhook_url, ...more } = requestOf(shape, run, account, {
      random,
      withTools: isLate,
    });
    const attachments = await files.forGoal(account, shape);
    const { start_in, start_in_ms } = laterOf(
      random,
      isHurried() && firsts.isDue('runs that were to begin later') ? 1 : 0.15,
    );
    const any = { provider_id, webhook_url, attachments, start_in };
    const request = isOrchestration
      ? { path: `/orchestrations/${definition.id}/run?wait=${wait}`, body: { message: task, ...any } }
      : shape === 'agent'
        ? { path: `/agents/${random.pick(account.agents)}/runs`, body: { input: task, ...any } }
        : { path: '/runs', body: { task, ...any, ...more } };
    const operation = { op: 'start' as const, run, key, wait, attachments, start_in_ms };
    const started = await (key ? insist : attempt)(account, operation, { method: 'POST', key, ...request });
    if (started.outcome !== 'ok') return;
    const { run_id } = started.body;
    if (attachments.length > 0) firsts.note('files given to runs', run_id);
    const regrets = shape === 'cancelled' || (isOrchestration && random.chance(0.15));
    const regret = regrets && sleep(random.between(0, 8_000)).then(() => cancel(account, run_id, isOrchestration));
    const course = setCourse(account, run_id, shape);
    if (shape === 'steered' || shape === 'sent back') steered.set(run_id, account);
    const isHeld = shape === 'held' || (mayBeHeld.includes(shape) && random.chance(0.3));
    const holding = isHeld && course.hold(shape === 'held' ? 2 : 1);
    const tending = files.tend(account, attachments, shape);
    const [ended] = await Promise.all([attend(account, run_id, course), regret, holding, tending]);
    if (!ended) return;
    if (start_in && ended.started_at) firsts.note('runs that were to begin later', run_id);
    if (shape === 'rerun' || (isOrchestration && random.chance(0.5))) await rerun(account, run, ended, course);
    else if (forgetting.isToGo(shape, isAgain)) await forgetting.purge(account, run_id);
  }

  /** Has a part of an ended run done again, by a run of its own. */
  async function rerun(account: Account, run: string, source: RunView, course: Course): Promise<void> {
    const key = `rerun-${run}`;
    const body = rerunOf(source, `edited-${source.run_id}`, random);
    if (!body) return;
    const { start_in, start_in_ms } = laterOf(random, 0.3);
    const operation = { op: 'start' as const, run: `${run}-again`, key, rerun: { source, ...body }, start_in_ms };
    const path = `/runs/${source.run_id}/rerun`;
    const started = await insist(account, operation, { method: 'POST', path, body: { ...body, start_in }, key });
    if (started.outcome === 'ok') await attend(account, started.body.run_id, course);
  }

  return { drive, steered };
}
