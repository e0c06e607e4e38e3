import { getPriority, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { evaluate, load, type Evaluation } from './sandbox.ts';

/** So many steps below the rest of the process Linux gives a thread about a seventh of the time, when there is too little for all. */
const below = 9;
const lowest = 19;

/**
 * The thread of one evaluation. It gives way to whatever answers: with twelve endless scripts of one account, another's run took
 * 1.6 times its quiet time, and 3.7 times without this (docs/performance.md).
 */
await load(); // What is ours is not to wait behind all else.
// Elsewhere it would be the priority of the whole process.
if (process.platform === 'linux') setPriority(Math.min(getPriority() + below, lowest));
parentPort!.postMessage(await evaluate(workerData as Evaluation));
