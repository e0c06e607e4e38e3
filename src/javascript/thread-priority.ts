import { getPriority, setPriority } from 'node:os';

/** So many steps below the rest of the process Linux gives a thread about a seventh of the time, when there is too little for all. */
const below = 9;
const lowest = 19;

/**
 * Has the thread that calls it give way to whatever answers: with twelve endless scripts of one account, another's run took
 * 1.6 times its quiet time, and 3.7 times without this (docs/performance.md).
 */
export function giveWay(): void {
  // Elsewhere it would be the priority of the whole process.
  if (process.platform === 'linux') setPriority(Math.min(getPriority() + below, lowest));
}
