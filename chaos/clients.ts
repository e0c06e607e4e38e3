import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditedRun, AuditEvent } from '../db/audit.ts';
import type { RunView } from '../db/run-views.ts';
import type { Account } from './accounts.ts';
import { createCourses, type Course } from './course.ts';
import { createCrowd } from './crowd.ts';
import { createFiles } from './files.ts';
import { createFirsts, shapesOfFirsts, waiting_ms, type Firsts } from './firsts.ts';
import { createForgetting } from './forgetting.ts';
import type { Entry } from './journal.ts';
import { definition } from './orchestration.ts';
import { createPeople } from './people.ts';
import type { Random } from './random.ts';
import { createRequests, type Asking, type Requests } from './requests.ts';
import { createShapes, laterOf, requestOf, rerunOf, type Shape } from './shapes.ts';

/** Of a run: whether it is late and to have what others may have, or the shape that is due. */
type Driven = { due?: Shape; isLate?: boolean };

/** Of one orchestration, or run of an agent, that fails. */
const maxRetries = 3;

/** What may be held beside what is made for it. */
const mayBeHeld: Shape[] = ['approvals', 'failover', 'agent', 'orchestrated'];

export type Audit = AuditedRun & { events: AuditEvent[] };

/** `web` is where people send agents. */
type Given = Asking & { web: string };

/**
 * Clients of both APIs that try again as careful ones do: after a 5xx or no answer, at the other API, a start with the
 * same Idempotency-Key and an answer with its gate's id.
 */
export function createClients({ apis, journal, random, web }: Given) {
  const nextShape = createShapes(random);
  const stopping = new AbortController();
  const requests = createRequests({ apis, journal, random }, stopping.signal);
  const { attempt, insist, read } = requests;
  const { cancel, retry } = createEnds(requests);
  let isHurried = false;
  const firsts = createFirsts();
  const files = createFiles({ attempt, insist, read, random, firsts });
  const answer = createPeople({ insist, random, web, files, firsts, isHurried: () => isHurried });
  const attend = createAttendance({ attempt, retry, answer, random, firsts }, stopping.signal);
  const setCourse = createCourses({ insist, random, firsts, isHurried: () => isHurried });
  const forgetting = createForgetting({ insist, read, random, firsts });
  const startMany = createCrowd({ insist, random, attend, cancel, setCourse });
  /** Whose they are. */
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
      isHurried && firsts.isDue('runs that were to begin later') ? 1 : 0.15,
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

  return {
    drive,
    startMany,
    /** What everybody does in every run of this program and nobody has done yet is done: once, and in calm weather. */
    async doWhatIsDue(account: Account, crowded: Account, name: string): Promise<void> {
      const due = new Set(firsts.due().map((first) => shapesOfFirsts[first]));
      const doing = [...due].map((one) =>
        one === 'crowd' ? startMany(crowded, name) : drive(account, `${name}-${one.replace(' ', '-')}`, { due: one }),
      );
      await Promise.all(doing);
    },
    isAnythingDue: () => firsts.due().length > 0,
    walk: (account: Account) => walk(read, account),
    /** Of all runs whose tasks were steered. */
    audits: async () => new Map(await Promise.all([...steered].map((each) => audit(read, ...each)))),
    lookForPurged: forgetting.look,
    lookForFiles: files.look,
    /** From now on people answer at once and send nothing back: what takes time is not theirs. */
    hurry: () => (isHurried = true),
    /** Nobody tries again, and nobody looks any more. */
    stop: () => stopping.abort(),
  };
}

type Attending = Pick<Requests, 'attempt'> &
  Pick<ReturnType<typeof createEnds>, 'retry'> & {
    answer: ReturnType<typeof createPeople>;
    random: Random;
    firsts: Firsts;
  };

function createAttendance({ attempt, retry, answer, random, firsts }: Attending, signal: AbortSignal) {
  /** Hears of a run as it is read: whether it waited for a place, and has begun. */
  function watchPlace(): (view: RunView) => void {
    let queued: { from: number; to: number } | undefined;
    return ({ run_id, queue_position, started_at }) => {
      if (queue_position) queued = { from: queued?.from ?? Date.now(), to: Date.now() };
      else if (started_at && queued && queued.to - queued.from > waiting_ms)
        firsts.note('runs that waited for a place', run_id);
    };
  }

  /** Looks at the run and answers what waits, until it has ended; a failed orchestration is tried again. */
  return async function attend(account: Account, run_id: string, course: Course): Promise<RunView | undefined> {
    const rejected = new Map<string, number>();
    let retries = 0;
    const watch = watchPlace();
    while (!signal.aborted) {
      const request = { method: 'GET', path: `/runs/${run_id}` };
      const { outcome, body } = await attempt(account, { op: 'get', run_id }, request);
      const view = outcome === 'ok' ? (body as RunView) : undefined;
      if (view) watch(view);
      if (view?.status === 'failed' && view.kind !== 'goal' && retries < maxRetries) {
        retries += 1;
        await retry(account, view, retries);
      } else if (view && ['completed', 'failed', 'cancelled'].includes(view.status)) return view;
      if (view) {
        await course.begin(view);
        const waiting = view.tasks.filter(({ id }) => view.waiting_tasks.includes(id));
        const answered = waiting.map((task) =>
          answer(account, run_id, task, { rejected, send_back_to: course.sendBackFrom(view, task) }),
        );
        await Promise.all([...answered, course.meddle(view)]);
      }
      await sleep(random.between(200, 600));
    }
    return undefined;
  };
}

/** What ends a run, and tries it again. */
function createEnds({ insist }: Requests) {
  function cancel(account: Account, run_id: string, isOrchestration: boolean): Promise<Entry> {
    const request = isOrchestration
      ? { method: 'POST', path: `/orchestrations/runs/${run_id}/cancel` }
      : { method: 'DELETE', path: `/runs/${run_id}` };
    return insist(account, { op: 'cancel', run_id }, request);
  }

  function retry(account: Account, { run_id, kind }: RunView, n: number): Promise<Entry> {
    const path = kind === 'orchestration' ? `/orchestrations/runs/${run_id}/retry?wait=0` : `/runs/${run_id}/retry`;
    return insist(account, { op: 'retry', run_id, n }, { method: 'POST', path, key: `retry-${run_id}-${n}` });
  }

  return { cancel, retry };
}

/** The whole story of a run, as its client reads it; undefined when it could not be had. */
async function audit(read: Requests['read'], run_id: string, account: Account): Promise<[string, Audit | undefined]> {
  const { outcome, body } = await read(account, { op: 'list' }, `/runs/${run_id}/audit`);
  return [run_id, outcome === 'ok' ? (body as Audit) : undefined];
}

/** The ids in the whole list, page by page; undefined when a page could not be had. */
async function walk(read: Requests['read'], account: Account): Promise<string[] | undefined> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const path: string = `/runs?limit=7${cursor && `&cursor=${cursor}`}`;
    const { outcome, body } = await read(account, { op: 'list' }, path);
    if (outcome !== 'ok') return undefined;
    ids.push(...body.runs.map(({ run_id }: { run_id: string }) => run_id));
    cursor = body.next_cursor;
  }
  return ids;
}
