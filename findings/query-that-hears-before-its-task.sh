#!/usr/bin/env bash
# Temporal server 1.29.1 (its CLI 1.5.1, built with Go), @temporalio/client, worker and workflow 1.24.0: what a workflow hears, and what it
# takes the time for, when a query is answered while its workflow task is on its way to a worker that is gone.
#
# A worker is killed; another one polls. The workflow is asked something, and signalled: both are for the queue of the worker that
# was killed, for as long as its stickyQueueScheduleToStartTimeout. Then the query comes to the other one, with the history so far, and
# the SDK hands the workflow the signal in it, of which no workflow task has begun yet. The workflow task that begins after
# that has nothing more to tell. What the workflow saw as it heard the signal, live, and when the same history is replayed:
#
#   live:     Date.now() is the time of the workflow task before, 3 seconds ago here; historyLength is 10
#   replayed: Date.now() is the time of the workflow task of the signal; historyLength is 13
#
# The guess was that a query changes nothing in what a workflow sees, as it is read-only, and that these two are the same in a replay,
# as the SDK says of both. A workflow that continues as new by historyLength (or continueAsNewSuggested, which goes with it) does
# not replay then, and stands still with a nondeterminism error at the next worker; one that has waited for days for its signal computes
# the next deadline from the day on which it began to wait.
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
import { condition, defineQuery, defineSignal, setHandler, workflowInfo } from '@temporalio/workflow';

export async function watcher() {
  const heard = [];
  setHandler(defineQuery('heard'), () => heard);
  setHandler(defineSignal('say'), (word) => void heard.push({ word, at: Date.now(), length: workflowInfo().historyLength }));
  await condition(() => heard.length === 3);
  return heard;
}
JS
cat >worker.mjs <<'JS'
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

Runtime.install({ logger: new DefaultLogger('ERROR') });
const workflowsPath = new URL('workflows.js', import.meta.url).pathname;
const connection = await NativeConnection.connect({ address: process.argv[2] });
const stickyQueueScheduleToStartTimeout = '2 seconds';
const worker = await Worker.create({ connection, taskQueue: 'queue', workflowsPath, stickyQueueScheduleToStartTimeout });
process.once('disconnect', () => process.exit());
process.send('polls');
await worker.run();
JS
cat >run.mjs <<'JS'
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';

const address = `127.0.0.1:${process.argv[2]}`;
let connection;
for (let tries = 0; !connection && tries < 300; tries += 1)
  connection = await Connection.connect({ address }).catch(() => sleep(100));
const client = new Client({ connection });
async function startWorker() {
  const worker = fork('worker.mjs', [address]);
  await once(worker, 'message');
  return worker;
}
const first = await startWorker();
const handle = await client.workflow.start('watcher', { workflowId: 'watcher', taskQueue: 'queue' });
// In a workflow task of its own.
while ((await handle.describe()).historyLength < 4) await sleep(50);
await handle.signal('say', 'before');
while ((await handle.query('heard')).length < 1) await sleep(50);
while ((await handle.describe()).historyLength < 8) await sleep(50);
await sleep(3_000);
first.kill('SIGKILL');
const second = await startWorker();
const asked = handle.query('heard');
await sleep(200);
await handle.signal('say', 'then');
const live = (await asked).find(({ word }) => word === 'then');

const at = ({ eventTime }) => Number(eventTime.seconds) * 1_000 + Math.floor(eventTime.nanos / 1e6);
let begun = [];
let events = [];
while (begun.length < 3) {
  await sleep(100);
  ({ events } = await handle.fetchHistory());
  begun = events.filter((event) => event.workflowTaskStartedEventAttributes);
}
// A replay, by a worker that has heard of nothing yet.
second.kill('SIGKILL');
const third = await startWorker();
await handle.signal('say', 'after');
const replayed = (await handle.result()).find(({ word }) => word === 'then');
third.kill('SIGKILL');
const [, before, its] = begun;
console.error(events.map((event) => `${event.eventId} ${Object.keys(event).find((key) => key.endsWith('Attributes') && event[key])}`).join('\n'));
for (const [how, seen] of Object.entries({ live, replayed })) {
  const task = seen.at === at(before) ? 'before' : seen.at === at(its) ? 'of the signal' : `at ${seen.at}`;
  console.log(`${how}: historyLength ${seen.length}, the time of the workflow task ${task}`);
}
process.exit(0);
JS
node run.mjs "$port" | tee seen
diff seen - <<'SEEN'
live: historyLength 10, the time of the workflow task before
replayed: historyLength 13, the time of the workflow task of the signal
SEEN
