#!/usr/bin/env bash
# Node 24.21.0 (npm package `node`), Linux: `os.setPriority` within a worker thread.
#
# It is documented as the priority of a process, and `process.pid` is the same in all threads. On Linux it is that of the
# thread which calls it: the main thread keeps its own, and so does a thread that is started later by the main one.
#
#   set in a thread: that thread 19, the main thread 0, a thread that is started afterwards 0
#   set in the main thread: a thread that is started afterwards 10
#
# The guess was that the first call slows the whole process. So scripts of users can compute at a lower priority in threads
# beside a server that answers at its own; on other systems the same line would slow the server too.
set -euo pipefail
[ "$(uname)" = Linux ] || { echo 'seen on Linux only'; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0
cat >run.mjs <<'JS'
import { getPriority, setPriority } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

if (isMainThread) {
  const inThread = (priority) =>
    new Promise((resolve, reject) => {
      const thread = new Worker(new URL(import.meta.url), { workerData: priority });
      thread.on('message', resolve).on('error', reject);
    });
  const before = getPriority();
  const [own, main, next] = [await inThread(19), getPriority(), await inThread(null)];
  console.log(`set in a thread: that thread ${own}, the main thread ${main}, a thread that is started afterwards ${next}`);
  setPriority(Math.max(10, before));
  const inherited = await inThread(null);
  console.log(`set in the main thread: a thread that is started afterwards ${inherited}`);
  const isAsSeen = own === 19 && main === before && next === before && inherited === Math.max(10, before);
  console.log(isAsSeen ? 'as seen' : 'this has changed');
  process.exit(isAsSeen ? 0 : 1);
} else {
  if (workerData !== null) setPriority(workerData);
  parentPort.postMessage(getPriority());
}
JS
npx node run.mjs
