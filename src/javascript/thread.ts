import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { evaluate, type Evaluation } from './sandbox.ts';

/** The thread of one evaluation. */
// Here it is the thread's own, elsewhere that of the whole process: what computes for long gives way to what answers.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_LOW);
parentPort!.postMessage(await evaluate(workerData as Evaluation));
