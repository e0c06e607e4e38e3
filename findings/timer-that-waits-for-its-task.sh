#!/usr/bin/env bash
# Temporal server 1.29.1 (its CLI 1.5.1, built with Go), @temporalio/client, worker and workflow 1.24.0: when a timer of a workflow
# begins.
#
# In a workflow task the time stands still: Date.now() is when the task began. The server begins the timers that come of the task when
# it is completed. So `sleep(deadline - Date.now())` is late by as long as the task took, though nothing was late. Where a task
# computes for a second before it sleeps until two seconds from its beginning:
#
#   the timer fires three seconds after the task began, and the workflow sees that its deadline has passed by a second
#
# The guess was the deadline, give or take some milliseconds: the workflow has computed how long to sleep from the only clock that it
# has, and the server knows when the task began. A worker that is short of CPU, or replays a long history before it can go on, makes
# every deadline late by that; what must not begin after one has to look at a clock of its own, in an activity.
set -euo pipefail
command -v go >/dev/null || { echo 'Go builds the server'; exit 0; }
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
GOBIN=$work GOFLAGS=-modcacherw go install github.com/temporalio/cli/cmd/temporal@v1.5.1
npm init -y >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund @temporalio/client@1.24.0 @temporalio/worker@1.24.0 @temporalio/workflow@1.24.0
port=$(node -e "const s = require('net').createServer().listen(0, () => { console.log(s.address().port); s.close(); })")
./temporal server start-dev --headless --port "$port" --log-level never &
server=$!
cat >workflows.js <<'JS'
import { sleep } from '@temporalio/workflow';

export async function untilDeadline(rounds) {
  const deadline = Date.now() + 2_000;
  let sum = 0;
  for (let n = 0; n < rounds; n += 1) sum = (sum * 31 + n) % 1_000_003;
  await sleep(deadline - Date.now());
  return { sum, late_ms: Date.now() - deadline };
}
JS
cat >run.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

Runtime.install({ logger: new DefaultLogger('ERROR') });
const address = `127.0.0.1:${process.argv[2]}`;
let connection;
for (let tries = 0; !connection && tries < 300; tries += 1)
  connection = await NativeConnection.connect({ address }).catch(() => sleep(100));
const workflowsPath = new URL('workflows.js', import.meta.url).pathname;
const worker = await Worker.create({ connection, taskQueue: 'queue', workflowsPath });
const client = new Client({ connection: await Connection.connect({ address }) });

/** How many rounds take a second, here. */
function roundsOfASecond() {
  const rounds = 20_000_000;
  const since = performance.now();
  let sum = 0;
  for (let n = 0; n < rounds; n += 1) sum = (sum * 31 + n) % 1_000_003;
  return Math.round((rounds * 1_000) / (performance.now() - since + (sum && 0)));
}
const computing = roundsOfASecond();

async function run(name, rounds) {
  const handle = await client.workflow.start('untilDeadline', { workflowId: name, taskQueue: 'queue', args: [rounds] });
  const { late_ms } = await handle.result();
  const { events } = await handle.fetchHistory();
  const ms = ({ eventTime }) => Number(eventTime.seconds) * 1_000 + eventTime.nanos / 1e6;
  const [began, timer] = ['workflowTaskStarted', 'timerStarted'].map((kind) => events.find((event) => event[`${kind}EventAttributes`]));
  const fired = events.find((event) => event.timerFiredEventAttributes);
  console.error(`${name}: ${late_ms} ms late; ${Math.round(ms(timer) - ms(began))} ms from the task to its timer, of ${ms(fired) - ms(timer)} ms`);
  console.log(`${name}: ${late_ms < 400 ? 'in time' : 'late, by as long as it computed'}`);
}
await worker.runUntil(async () => {
  await run('a task that computes nothing', 1);
  await run('a task that computes for a second', computing);
});
JS
node run.mjs "$port" | tee seen
diff seen - <<'SEEN'
a task that computes nothing: in time
a task that computes for a second: late, by as long as it computed
SEEN
