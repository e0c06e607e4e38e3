import { setFlagsFromString } from 'node:v8';

/** How much may be resident that is neither in use on the heap nor a buffer: code, stacks and libraries are 70 MiB of it. */
const most = 110 * 1024 ** 2;
const every_ms = 200;

/**
 * Has V8 give back the pages that it has freed and keeps for later, when there are many of them. It does so by itself only when
 * the process has little to do for eight seconds; until then each burst leaves its pages, and bodies and answers come on top. Saving memory all the
 * time would cost an API a third more CPU.
 */
export function giveBackSparePages(): void {
  let isSaving = false;
  setInterval(() => {
    const { rss, heapUsed, external } = process.memoryUsage();
    const isMuch = rss - heapUsed - external > most;
    if (isMuch === isSaving) return;
    isSaving = isMuch;
    // V8 reads this flag at each collection, so it may change while it runs.
    setFlagsFromString(isSaving ? '--memory-saver-mode' : '--no-memory-saver-mode');
  }, every_ms).unref();
}
