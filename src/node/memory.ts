import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * What keeps an API small while much is sent to it and asked of it. V8 alone collects when the heap has grown by 40 %, looks at
 * buffers when there are 64 MiB of them, and keeps the pages that it has freed until the process has little to do for eight seconds
 * (`findings/pages-that-a-busy-heap-keeps.sh`). It is told otherwise only while the process is large, since that costs CPU.
 */

const mebibyte = 1024 ** 2;
/** Resident. An idle API has 160 MiB, of which 70 are code, stacks and libraries. */
const large = 180 * mebibyte;
const every_ms = 100;

/** So much garbage, on the heap and in buffers, is worth a whole collection, which takes up to 100 ms, and so often at most. */
const worth = 24 * mebibyte;
const pause_ms = 400;
/** Nothing more has come for so long: then it is in nobody's way. */
const rest_ms = 1_000;

let collect: ((of?: { type: 'minor' }) => void) | undefined;
/** What was in use when it was least, or after the last whole collection. */
let alive = Infinity;
let collected_at = -Infinity;
let last: NodeJS.Timeout | undefined;

/** From now on V8 saves memory while there is much of it, and `collectGarbage` collects. */
export function saveMemory(): void {
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as typeof collect;
  let isSaving = false;
  setInterval(() => {
    const isLarge = process.memoryUsage.rss() > large;
    if (isLarge === isSaving) return;
    isSaving = isLarge;
    // V8 reads these flags at each collection, so they may change while it runs.
    setFlagsFromString(isSaving ? '--memory-saver-mode' : '--no-memory-saver-mode');
    setFlagsFromString(`--heap-growing-percent=${isSaving ? 15 : 40}`);
  }, every_ms).unref();
}

/** After work that has left much behind. Does nothing while the process is not large. */
export function collectGarbage(): void {
  alive = Math.min(alive, memoryInUse());
  clearTimeout(last);
  if (!collect || process.memoryUsage.rss() <= large) return;
  if (memoryInUse() - alive >= worth && performance.now() - collected_at >= pause_ms) return collectAll();
  collect({ type: 'minor' });
  // What comes next comes on top of what the last of them has left.
  last = setTimeout(collectAll, rest_ms).unref();
}

function collectAll(): void {
  collect?.();
  alive = memoryInUse();
  collected_at = performance.now();
}

function memoryInUse(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
