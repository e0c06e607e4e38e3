#!/usr/bin/env bash
# Node 24.21.0 (npm's package `node`, V8 13.6): what an async function holds while it waits.
#
# Each function makes a buffer of a megabyte, takes its length, and waits for what never comes; nothing reads the buffer after that. Fifty of
# them wait, and two full collections later there are, in megabytes:
#
#   first calls                         50
#   the same, its variable in a block   50
#   the same, set to undefined           0
#   made in a function of its own        0
#   after 300,000 calls                  0
#
# The guess was 0 everywhere: nothing that is read after the await refers to the buffer, and compilers know so. The interpreter saves all
# its registers when a function is suspended, also those of variables whose block has ended; code that V8 has optimized saves what is
# read later. So a server holds the bodies of requests that wait, and the more of them the less often it is asked, which no
# load test shows.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0
cat >wait.js <<'JS'
const never = new Promise(() => {});
const lengthOf = (size) => Buffer.alloc(size).length;

async function plain(size, wait) {
  const buffer = Buffer.alloc(size);
  const { length } = buffer;
  await wait;
  return length;
}
async function inBlock(size, wait) {
  let length;
  {
    const buffer = Buffer.alloc(size);
    length = buffer.length;
  }
  await wait;
  return length;
}
async function undone(size, wait) {
  let buffer = Buffer.alloc(size);
  const { length } = buffer;
  buffer = undefined;
  await wait;
  return length;
}
async function apart(size, wait) {
  const length = lengthOf(size);
  await wait;
  return length;
}

function inUse() {
  gc();
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const waiting = [];
function heldBy(work) {
  const before = inUse();
  for (let n = 0; n < 50; n += 1) waiting.push(work(1_000_000, never));
  return Math.round((inUse() - before) / 1_000_000);
}

const held = [plain, inBlock, undone, apart].map(heldBy);
(async () => {
  for (let n = 0; n < 300_000; n += 1) await plain(10, null);
  console.log([...held, heldBy(plain)].join(' '), waiting.length);
})();
JS
seen=$(./node_modules/.bin/node --expose-gc wait.js)
echo "plain, in a block, undefined, apart, optimized: $seen"
[ "$seen" = '50 50 0 0 0 250' ] || { echo 'It is otherwise now.'; exit 1; }
