import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { heapGrowth } from './start.ts';

/**
 * What keeps an API small while much is sent to it and asked of it. V8 alone collects when the heap has grown by `heapGrowth`,
 * looks at buffers when there are 64 MiB of them, and keeps the pages that it has freed until the process has little to do for eight
 * seconds (`findings/pages-that-a-busy-heap-keeps.sh`). It is told otherwise only while the process is large, since that costs CPU.
 */

const mebibyte = 1024 ** 2;
/** Resident. An idle API has 160 MiB, of which 70 are code, stacks and libraries. */
const leastLarge = 180 * mebibyte;
/** So much above what it has when it rests: one with many streams and nothing to do is not large. */
const aboveRest = 1.05;
const every_ms = 100;
const restsWithin_ms = 60_000;

/** So much garbage, on the heap and in buffers, is worth a whole collection, which takes 30 ms and more. */
const worth = 24 * mebibyte;
/** It comes this many times as long after the last as that took, and at the earliest after 400 ms. */
const timesBetween = 5;
const leastBetween_ms = 400;
/** Nothing more has come for so long: then it is in nobody's way. */
const rest_ms = 1_000;

let collect: ((of?: { type: 'minor' }) => void) | undefined;
/** What was in use when it was least, or after the last whole collection. */
let alive = Infinity;
let next_at = 0;
let last: NodeJS.Timeout | undefined;
/** The least that was resident in each of the last seconds, the newest last. */
const resting: number[] = [];

/** From now on V8 saves memory while there is much of it, and `collectGarbage` collects. */
export function saveMemory(): void {
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as typeof collect;
  let isSaving = false;
  let ticks = 0;
  setInterval(() => {
    const resident = process.memoryUsage.rss();
    if (ticks % (1_000 / every_ms) === 0) resting.push(resident);
    ticks += 1;
    if (resting.length > restsWithin_ms / 1_000) resting.shift();
    resting.push(Math.min(resting.pop()!, resident));
    if (isLarge(resident) === isSaving) return;
    isSaving = !isSaving;
    if (isSaving) collectSoon();
    // V8 reads these flags at each collection, so they may change while it runs.
    setFlagsFromString(isSaving ? '--memory-saver-mode' : '--no-memory-saver-mode');
    setFlagsFromString(`--heap-growing-percent=${isSaving ? 15 : heapGrowth}`);
  }, every_ms).unref();
}

function isLarge(resident = process.memoryUsage.rss()): boolean {
  return resident > Math.max(leastLarge, Math.min(...resting) * aboveRest);
}

/** After work that has left much behind. Does nothing while the process is not large. */
export function collectGarbage(): void {
  alive = Math.min(alive, memoryInUse());
  clearTimeout(last);
  if (!collect || !isLarge()) return;
  if (memoryInUse() - alive >= worth && performance.now() >= next_at) return collectAll();
  collect({ type: 'minor' });
  collectSoon();
}

/** What comes next comes on top of what is left now. */
function collectSoon(): void {
  clearTimeout(last);
  last = setTimeout(collectAll, rest_ms).unref();
}

function collectAll(): void {
  const began = performance.now();
  collect?.();
  const ended = performance.now();
  next_at = ended + Math.max(leastBetween_ms, timesBetween * (ended - began));
  alive = memoryInUse();
}

function memoryInUse(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
