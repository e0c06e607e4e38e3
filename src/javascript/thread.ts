import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { evaluate, type Evaluation } from './sandbox.ts';

/**
 * The thread of one evaluation. It gives way to whatever answers: with twelve endless scripts of one account, another's run took
 * 1.6 times its quiet time, and 3.7 times without this (docs/performance.md).
 */
// Elsewhere it would be the priority of the whole process.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_LOW);
parentPort!.postMessage(await evaluate(workerData as Evaluation));
