/** What is counted for each account in this process: answers that are kept open, and uploads that are under way. */

export type OpenAnswers = ReturnType<typeof createOpenAnswers>;

/** How many of them each account has at once: at most `most`. */
export function createOpenAnswers(most: number) {
  const open = new Map<string, number>();

  /** Counts one more. Returns the function that takes it back, once; undefined when there may be no more. */
  function take(account_id: string): (() => void) | undefined {
    const own = open.get(account_id) ?? 0;
    if (own >= most) return undefined;
    open.set(account_id, own + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = open.get(account_id)! - 1;
      if (left > 0) open.set(account_id, left);
      else open.delete(account_id);
    };
  }

  return { take, most };
}
