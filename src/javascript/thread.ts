import { parentPort, workerData } from 'node:worker_threads';
import { evaluate, type Evaluation } from './sandbox.ts';

/** The thread of one evaluation. */
parentPort!.postMessage(await evaluate(workerData as Evaluation));
