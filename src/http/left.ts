import type { AppEnv } from './env.ts';

/** Calls `leave` when the answer is sent or its client has left, at once where that has been; perhaps more than once. */
export function whenLeft({ incoming, outgoing }: AppEnv['Bindings'], leave: () => void): void {
  const { socket } = incoming;
  if (outgoing.closed || socket.destroyed) return leave();
  outgoing.once('close', leave);
  // Of requests that were sent one after another on a connection that is lost, only the first answer is closed.
  socket.once('close', leave);
  outgoing.once('close', () => socket.off('close', leave));
}
