import type { Db } from '../../db/index.ts';
import type { OutboxEntry } from '../../db/outbox.ts';
import { beginRuns, beginRunsBeside, listAccountsToBegin, mostBegun } from '../../db/run-queue.ts';

/** Accounts whose runs are begun before something else has its turn. */
const beginSize = 50;

type Sending = {
  /** Brings what was begun to Temporal. */
  send: (entry: OutboxEntry) => void;
  /** Much is on its way there: what is begun now would only wait, and claim that it is being sent. */
  isBusy: () => boolean;
};

/**
 * Begins the runs that wait for their time, or for a place in their account, of which `most` may have begun and not ended
 * (null: as many as there are).
 */
export function createRunQueue(db: Db, most: number | null, { send, isBusy }: Sending) {
  const beginnings = new Set<Promise<void>>();

  /** Begins what is due of the account of this run, in the background. What is not begun now `beginDue` finds. */
  function begin(run_id: string): void {
    const begun = beginRunsBeside(db, run_id, most).then((entries) => entries.forEach(send));
    const beginning = begun.catch(() => {}).finally(() => void beginnings.delete(beginning));
    beginnings.add(beginning);
  }

  /** A run has ended: where places are limited, the one that waits longest has its place. */
  function ended(run_id: string): void {
    if (most !== null) begin(run_id);
  }

  /**
   * Begins what is due and nobody has begun. An account has its runs begun by fifties, so that others have their turn; true
   * when there may be more.
   */
  async function beginDue(): Promise<boolean> {
    const accounts = await listAccountsToBegin(db, most, beginSize);
    let mayMore = accounts.length === beginSize;
    for (const account_id of accounts) {
      if (isBusy()) return false;
      const entries = await beginRuns(db, account_id, most);
      entries.forEach(send);
      mayMore ||= entries.length === mostBegun;
    }
    return mayMore;
  }

  /** Resolves when nothing is being begun any more. */
  async function settled(): Promise<void> {
    await Promise.all(beginnings);
  }

  return { begin, ended, beginDue, settled };
}
