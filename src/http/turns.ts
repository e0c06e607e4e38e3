import { collectGarbage } from '../node/memory.ts';
import { HttpError } from './problems.ts';

/** Ends a turn; said again, it does nothing. */
export type Leave = () => void;

/** Of a request among those that are worked on. */
export type Place = {
  leave: Leave;
  /** Resolves when it has one again. */
  enter: () => Promise<void>;
};

export type Turns = ReturnType<typeof createTurns>;

type Row = { atWork: number; waiting: Set<() => void> };

/** Work that takes much memory is done one at a time, and what it has left behind is collected before the next. */
export function createHeavyTurns() {
  return createTurns(1, (next) =>
    // By then an answer has been made of it, where it was for one.
    setImmediate(() => {
      collectGarbage();
      next();
    }),
  );
}

/** Work of which `atOnce` is done at a time for each key, in the order in which it was asked for. */
export function createTurns(atOnce: number, between = (next: () => void): unknown => next()) {
  const rows = new Map<string, Row>();

  /**
   * Resolves when it is its turn. Whoever is not waited for any more leaves its place in the row.
   *
   * @param signalOf is asked only where there is a row
   * @throws HttpError 429 when that signal is aborted before it is its turn.
   */
  async function enter(key: string, signalOf?: () => AbortSignal): Promise<Leave> {
    const row = rows.get(key) ?? { atWork: 0, waiting: new Set() };
    rows.set(key, row);
    if (row.atWork < atOnce) row.atWork += 1;
    else await turn(row, signalOf?.());
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      between(() => pass(key, row));
    };
  }

  function pass(key: string, row: Row): void {
    const [next] = row.waiting;
    if (next) return next();
    row.atWork -= 1;
    if (row.atWork === 0) rows.delete(key);
  }

  async function take<T>(key: string, work: () => Promise<T>, signalOf?: () => AbortSignal): Promise<T> {
    const leave = await enter(key, signalOf);
    try {
      return await work();
    } finally {
      leave();
    }
  }

  return { enter, take };
}

/** Resolves when another leaves its place to this one. */
function turn({ waiting }: Row, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const begin = () => {
      waiting.delete(begin);
      signal?.removeEventListener('abort', refuse);
      resolve();
    };
    const refuse = () => {
      waiting.delete(begin);
      const detail = 'Others of this account are under way, and take their turns. Try again.';
      reject(new HttpError('LIMIT_REACHED', detail, { retry_after_seconds: 5 }));
    };
    if (signal?.aborted) return refuse();
    waiting.add(begin);
    signal?.addEventListener('abort', refuse, { once: true });
  });
}
