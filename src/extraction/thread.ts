import { parentPort, workerData } from 'node:worker_threads';
import { giveWay } from '../javascript/thread-priority.ts';
import { readBeginning, readPassages, type Beginning, type Reading, type Told } from './read.ts';
import { Unreadable } from './unreadable.ts';

/** What the thread says: a part of the document, that it was the last, or why it cannot be read. */
export type Said = { told: Told | Beginning } | { end: true } | { fault: string };

/** The thread of one extraction. */
giveWay();
const say = (said: Said) => parentPort!.postMessage(said);
try {
  const reading = workerData as Reading;
  if (reading.most === undefined) await readPassages(reading, (told) => say({ told }));
  else say({ told: await readBeginning(reading, reading.most) });
  say({ end: true });
} catch (error) {
  if (error instanceof Unreadable) say({ fault: error.message });
  else if (error instanceof RangeError && /call stack/i.test(error.message)) say({ fault: 'It is nested too deeply.' });
  else throw error;
}
