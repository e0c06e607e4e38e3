import { parentPort, workerData } from 'node:worker_threads';
import { load, syntaxFault, type Source } from './sandbox.ts';
import { giveWay } from './thread-priority.ts';

/** The thread of one reading. It tells of each source, in their order. */
await load();
giveWay();
for (const source of workerData as Source[]) parentPort!.postMessage(await syntaxFault(source));
