import { parentPort, workerData } from 'node:worker_threads';
import { evaluate, load, type Evaluation } from './sandbox.ts';
import { giveWay } from './thread-priority.ts';

/** The thread of one evaluation. */
await load(); // What is ours is not to wait behind all else.
giveWay();
parentPort!.postMessage(await evaluate(workerData as Evaluation));
