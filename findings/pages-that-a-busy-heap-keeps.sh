#!/usr/bin/env bash
# Node 24.21.0 (npm's package `node`, V8 13.6): what becomes of pages of the heap that hold nothing any more.
#
# A process fills 120 MiB, lets all of it go, and then works on with some 20 MiB, of which there is always something to collect. Its small
# heap is collected in full some ten times a second. After twelve seconds, that is a hundred full collections:
#
#   by default           heapTotal is 30 MiB, of which 18 are in use, and some 190 MiB are resident
#   --memory-saver-mode  heapTotal is 24 MiB, and 70 MiB are resident
#
# The guess was that resident memory follows heapTotal, some seconds behind it. V8 puts the pages that it frees into a pool (`--trace-gc`
# calls them "pooled: 104 MB"), resident, and only a collection that is to save memory empties it: one when the process has had little to
# do for eight seconds, which a server that is asked all the time never has. No figure of process.memoryUsage() or of
# v8.getHeapStatistics() counts them, so they look like a leak of native memory.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0
cat >busy.js <<'JS'
let kept = [];
for (let n = 0; n < 1_500_000; n += 1) kept.push({ n, text: 'x' + n });
kept = undefined;

const ring = [];
let count = 0;
setInterval(() => {
  for (let n = 0; n < 8_000; n += 1) ring[count++ % 100_000] = { count, more: [count] };
}, 10);
setTimeout(() => {
  const { rss, heapTotal } = process.memoryUsage();
  console.log(JSON.stringify({ rss, heapTotal, beside: rss - heapTotal }));
  process.exit();
}, 12_000);
JS
# A heap that grows slowly is collected often, as a server sets it that has little memory.
flags=(--heap-growing-percent=40 --max-semi-space-size=4)
by_default=$(./node_modules/.bin/node "${flags[@]}" busy.js)
saving=$(./node_modules/.bin/node "${flags[@]}" --memory-saver-mode busy.js)
echo "by default           $by_default"
echo "--memory-saver-mode  $saving"
node - "$by_default" "$saving" <<'JS'
const [byDefault, saving] = process.argv.slice(2).map((line) => JSON.parse(line));
const mib = 2 ** 20;
if (byDefault.heapTotal > 60 * mib || byDefault.beside < saving.beside + 60 * mib) {
  throw new Error('It is otherwise now: the pages go back.');
}
JS
