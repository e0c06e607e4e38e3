import type { ServerResponse } from 'node:http';

export type Unread = ReturnType<typeof createUnread>;

/** What answers hold that nobody reads: of them the kernel takes no more than some megabytes. */
export function createUnread() {
  const answers = new Map<string, Set<ServerResponse>>();

  /** Counts this answer until it is sent, or its client has left. */
  function add(account_id: string, answer: ServerResponse): void {
    const { socket } = answer.req;
    if (answer.closed || socket.destroyed) return;
    const own = answers.get(account_id) ?? new Set();
    answers.set(account_id, own.add(answer));
    const remove = () => {
      own.delete(answer);
      if (own.size === 0 && answers.get(account_id) === own) answers.delete(account_id);
    };
    answer.once('close', remove);
    if (answer.socket) return;
    // Of requests that were sent one after another on a connection that is lost, only the first answer is closed.
    socket.once('close', remove);
    answer.once('close', () => socket.off('close', remove));
  }

  /** In bytes. */
  function sizeOf(account_id: string): number {
    return [...(answers.get(account_id) ?? [])].reduce((sum, answer) => sum + answer.writableLength, 0);
  }

  return { add, sizeOf };
}
