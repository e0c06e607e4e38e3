#!/usr/bin/env bash
# Temporal server 1.29.1 (its CLI 1.5.1, built with Go), @temporalio/worker 1.24.0: events that come while a workflow task runs.
#
# What happens to a workflow while one of its tasks is at work (results of activities, signals) is buffered until that task
# is completed: an activity that ends is two events. A task that makes local activities may be at work for long, and the SDK keeps it alive. From a hundred
# buffered events on the server fails it all the same: WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND, without a message and
# without a word in the SDK's log but "Task not found when completing". It is begun anew at once, with what was buffered.
#
#   31 activities: 0 workflow tasks failed
#   300 activities: 2 or 3 workflow tasks failed, each with FORCE_CLOSE_COMMAND
#
# The guess was that the buffer has no bound but that of the history. Whoever starts hundreds of activities and writes
# something down for each, one local activity after another, has those made again that the failed task had not yet reported.
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
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
const { quick } = proxyActivities({ startToCloseTimeout: '1 minute' });
const { note } = proxyLocalActivities({ startToCloseTimeout: '1 minute' });
export async function many(count) {
  const all = Promise.all(Array.from({ length: count }, () => quick()));
  await quick();
  // This one workflow task is at work until the notes are made, and the others end meanwhile.
  for (let n = 0; n < 60; n += 1) await note();
  await all;
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
const client = new Client({ connection: await Connection.connect({ address }) });
const worker = await Worker.create({
  connection,
  taskQueue: 'queue',
  workflowsPath: new URL('workflows.js', import.meta.url).pathname,
  activities: { quick: async () => {}, note: () => sleep(50) },
});
const forced = 17; // WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
const seen = await worker.runUntil(async () => {
  const result = {};
  for (const count of [30, 299]) {
    const handle = await client.workflow.start('many', { workflowId: `of-${count}`, taskQueue: 'queue', args: [count] });
    await handle.result();
    const { events } = await handle.fetchHistory();
    const failed = events.flatMap(({ workflowTaskFailedEventAttributes: task }) => (task ? [task.cause] : []));
    console.log(`${count + 1} activities: ${failed.length} workflow tasks failed, causes ${failed.join() || 'none'}`);
    result[count] = failed;
  }
  return result;
});
const isAsSeen = seen[30].length === 0 && seen[299].length > 0 && seen[299].every((cause) => cause === forced);
console.log(isAsSeen ? 'as seen' : 'this has changed');
process.exit(isAsSeen ? 0 : 1);
JS
node run.mjs "$port"
