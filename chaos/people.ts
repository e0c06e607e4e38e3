import { setTimeout as sleep } from 'node:timers/promises';
import type { TaskView } from '../db/run-views.ts';
import type { Account, Person } from './accounts.ts';
import type { Files } from './files.ts';
import type { Firsts } from './firsts.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';
import { answerTo, type Answer } from './shapes.ts';

type Asked = Pick<Requests, 'insist'> & {
  random: Random;
  web: string;
  files: Pick<Files, 'forAnswer'>;
  firsts: Firsts;
  isHurried: () => boolean;
};

/** Where people give files with their answers. */
const takesFiles = ['context', 'human_task'];

/** Those who answer at gates. */
export function createPeople({ insist, random, web, files, firsts, isHurried }: Asked) {
  /**
   * Sometimes two people answer at once, at both APIs; one of them must be told that the other was first. `rejected` counts what
   * was sent back at each task, and `send_back_to` is the one before it that is to be done again.
   */
  return async function answer(
    account: Account,
    run_id: string,
    task: TaskView,
    { rejected, send_back_to }: { rejected: Map<string, number>; send_back_to?: string },
  ): Promise<void> {
    if (task.gate!.person) firsts.note('gates given to people', run_id);
    const isOwn = firsts.isDue('answers of their own') && holderOf(account, task) !== undefined;
    if (task.gate!.skills.length > 0 && !isOwn && random.chance(0.3)) await assign(account, run_id, task);
    if (!isHurried()) await sleep(random.between(0, 4_000));
    const step = task.step_id ?? task.id;
    const mayReject = !isHurried() && (rejected.get(step) ?? 0) < 2;
    const people = random.chance(0.25) ? ['ann', 'bob'] : ['ann'];
    const { gate_id, kind } = task.gate!;
    const own = ownKeyFor(account, task, send_back_to !== undefined);
    const send = async (person: string): Promise<void> => {
      const text = `${person}-says-${gate_id}`;
      const said: Answer = send_back_to
        ? { decision: 'reject', output: text, send_back_to }
        : answerTo(task, { mayReject, text, web }, random);
      if (said.decision === 'reject' || said.output?.includes('"again"'))
        rejected.set(step, (rejected.get(step) ?? 0) + 1);
      const isGiving = takesFiles.includes(kind) && said.output !== undefined && !send_back_to && !own;
      if (isGiving) said.attachments = await files.forAnswer(account);
      const key = random.chance(0.5) ? `${person}-${gate_id}` : undefined;
      const note = send_back_to && text;
      const person_id = own?.person_id;
      const operation = { op: 'complete' as const, run_id, task_id: task.id, gate_id, ...said, note, key, person_id };
      const who = own ? { ...account, api_key: own.api_key } : account;
      const door = throughDoor(run_id, task, { ...said, note });
      const { outcome } = await insist(who, operation, { method: 'POST', key, ...door });
      if (outcome !== 'ok') return;
      if (own) firsts.note('answers of their own', run_id);
      if (send_back_to) firsts.note('tasks sent back', run_id);
    };
    await Promise.all(people.map(send));
  };

  function holderOf({ people }: Account, { gate }: TaskView): Person | undefined {
    return people.find(({ person_id }) => person_id === gate!.person?.person_id);
  }

  /** Mostly of who the gate is with, and sometimes of somebody else, who may be refused; the account has them all. */
  function ownKeyFor(account: Account, task: TaskView, isSentBack: boolean): Person | undefined {
    if (task.gate!.skills.length === 0 || task.step_id !== null || isSentBack) return undefined;
    const holder = holderOf(account, task);
    if (firsts.isDue('answers of their own')) return holder;
    if (isHurried() || random.chance(0.4)) return undefined;
    return holder && random.chance(0.8) ? holder : random.pick(account.people);
  }

  /** To a person, who may have as many as they can, or to nobody. */
  async function assign(account: Account, run_id: string, { id: task_id, gate }: TaskView): Promise<void> {
    const person_id = random.chance(0.25) ? null : random.pick(account.people).person_id;
    const operation = { op: 'assign' as const, run_id, task_id, gate_id: gate!.gate_id, person_id };
    const path = `/runs/${run_id}/tasks/${task_id}/assign`;
    await insist(account, operation, { method: 'POST', path, body: { person_id } });
  }

  /** A step of an orchestration is answered as any task, or by resuming the run. */
  function throughDoor(run_id: string, task: TaskView, { decision, output, ...more }: Answer & { note?: string }) {
    const { gate_id, kind } = task.gate!;
    if (task.step_id === null || random.chance(0.5)) {
      return { path: `/runs/${run_id}/tasks/${task.id}/complete`, body: { decision, output, gate_id, ...more } };
    }
    const response = kind === 'human_step' ? (JSON.parse(output!) as object) : { decision, output };
    return { path: `/orchestrations/runs/${run_id}/resume?wait=0`, body: { response, gate_id } };
  }
}
