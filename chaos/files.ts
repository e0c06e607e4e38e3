import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from './accounts.ts';
import type { Firsts } from './firsts.ts';
import type { Entry } from './journal.ts';
import { keepingSeconds } from './limits.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';
import type { Shape } from './shapes.ts';

/** Those who keep files, give them to runs and with answers, read them again and delete them. */

/** The text that marks a file, so that it is found again in the prompts that are to have it, and in no other. */
export const fileMark = (name: string) => `file-says-${name}.`;
export const fileMarks = /file-says-[\w-]+\.txt\./g;

export const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Their runs come with files every time, so that no run of this program goes without. */
const alwaysWithFiles: Shape[] = ['plain', 'context', 'gated', 'sent back'];
/** A budget is for the work alone. */
const neverWithFiles: Shape[] = ['budgeted'];
/** What is larger than a chunk on its way, and takes its time. */
const large = { least: 500_000, most: 3_000_000 };

export type Files = ReturnType<typeof createFiles>;

type Given = Pick<Requests, 'attempt' | 'insist' | 'read'> & { random: Random; firsts: Firsts };

export function createFiles({ attempt, insist, read, random, firsts }: Given) {
  let made = 0;
  const kept = new Map<string, Account>();
  const deleted = new Set<string>();

  /** Keeps a file: a text, or bytes. Undefined when it was not heard whether it is kept. */
  async function keep(account: Account, isText = true): Promise<string | undefined> {
    const name = `${account.name}-${(made += 1)}.${isText ? 'txt' : 'bin'}`;
    const content = isText ? textOf(name, random) : bytesOf(name, random);
    const key = random.chance(0.7) ? `upload-${name}` : undefined;
    const file = new File([content], name, { type: isText ? 'text/plain' : 'application/octet-stream' });
    const about = {
      account: account.name,
      name,
      key,
      size: content.length,
      sha256: sha256Of(content),
      wait: keepingSeconds,
    };
    const operation = { op: 'upload' as const, ...about };
    const request = { method: 'POST', path: '/files', file, key };
    const { outcome, body } = await (key ? insist : attempt)(account, operation, request);
    if (outcome !== 'ok') return undefined;
    kept.set(body.file_id, account);
    return body.file_id;
  }

  function readFile(account: Account, file_id: string): Promise<Entry> {
    return read(account, { op: 'read file', file_id }, `/files/${file_id}/content`);
  }

  async function remove(account: Account, file_id: string): Promise<void> {
    deleted.add(file_id);
    const request = { method: 'DELETE', path: `/files/${file_id}` };
    const { outcome } = await insist(account, { op: 'delete file', file_id }, request);
    if (outcome === 'ok') firsts.note('files deleted', file_id);
    if (random.chance(0.5)) await readFile(account, file_id);
  }

  /** What a run of this shape is given with its goal. */
  async function forGoal(account: Account, shape: Shape): Promise<string[]> {
    if (neverWithFiles.includes(shape) || !(alwaysWithFiles.includes(shape) || random.chance(0.3))) return [];
    const ids = await Promise.all(Array.from({ length: random.pick([1, 2]) }, () => keep(account)));
    return ids.filter((id) => id !== undefined);
  }

  /** What a person gives with an answer. */
  async function forAnswer(account: Account): Promise<string[]> {
    const id = random.chance(0.35) ? await keep(account) : undefined;
    return id ? [id] : [];
  }

  /** Whoever has given these files to a run reads and deletes some of them, and others beside them. */
  async function tend(account: Account, attachments: string[], shape: Shape): Promise<void> {
    const isDue = firsts.isDue('files deleted');
    const beside = isDue || random.chance(0.6) ? await keep(account, false) : undefined;
    await sleep(random.between(0, 4_000));
    if (beside) await readFile(account, beside);
    if (beside && (isDue || random.chance(0.6))) await remove(account, beside);
    for (const file_id of attachments) {
      if (random.chance(0.5)) await readFile(account, file_id);
      // What is purged takes its files along.
      if (shape !== 'plain' && random.chance(0.3)) await remove(account, file_id);
    }
  }

  /** Reads all that were kept and not deleted. */
  async function look(): Promise<void> {
    for (const [file_id, account] of kept) if (!deleted.has(file_id)) await readFile(account, file_id);
  }

  return { forGoal, forAnswer, tend, look };
}

/** Short enough for all of it to be in a prompt. */
function textOf(name: string, random: Random): Buffer<ArrayBuffer> {
  return Buffer.from(`${fileMark(name)} ${'The prices rise. '.repeat(random.between(1, 60))}`);
}

function bytesOf(name: string, random: Random): Buffer<ArrayBuffer> {
  const { least, most } = random.chance(0.3) ? large : { least: 0, most: 50_000 };
  return Buffer.alloc(Math.floor(random.between(least, most)), createHash('sha256').update(name).digest());
}
