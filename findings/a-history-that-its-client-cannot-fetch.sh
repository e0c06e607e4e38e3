#!/usr/bin/env bash
# Temporal server 1.29.1 (its CLI 1.5.1, built with Go), @temporalio/client and @temporalio/worker 1.24.0: fetchHistory of a
# workflow that is within all limits.
#
# The server counts the events of a page, up to 256, and not their bytes; it sends what they take. A gRPC client takes 4 MiB of a
# message unless it is told, and the TypeScript client is not. So a workflow whose 60 activities were each given 100 kB, which
# the worker made, runs and completes, and which another worker replays from the same pages, has a history that the client
# cannot fetch. It is 6 MB of the 50 MB that the server allows:
#
#   the workflow: completed
#   fetchHistory: RESOURCE_EXHAUSTED, Received message larger than max (6047176 vs 4194304)
#   fetchHistory with grpc.max_receive_message_length of 64 MiB: 365 events
#
# The guess was that pages are made to fit, as nobody who asks for a history says how large its pages may be. Whoever replays
# histories in CI, or reads them after a restore, gives its connection channelArgs.
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
import { proxyActivities } from '@temporalio/workflow';
const { read } = proxyActivities({ startToCloseTimeout: '1 minute' });
export async function sixty(text) {
  for (let n = 0; n < 60; n += 1) await read(text.repeat(10_000));
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
const worker = await Worker.create({ connection, taskQueue: 'queue', workflowsPath, activities: { read: async () => {} } });
const client = new Client({ connection: await Connection.connect({ address }) });
const handle = await worker.runUntil(async () => {
  const started = await client.workflow.start('sixty', { workflowId: 'sixty', taskQueue: 'queue', args: ['ten bytes.'] });
  await started.result();
  return started;
});
console.log(`the workflow: ${(await handle.describe()).status.name.toLowerCase()}`);

const refused = await handle.fetchHistory().then(
  () => undefined,
  (error) => error.cause ?? error,
);
console.log(`fetchHistory: ${refused ? refused.message : 'all of it'}`);

const channelArgs = { 'grpc.max_receive_message_length': 64 * 1024 * 1024 };
const roomy = new Client({ connection: await Connection.connect({ address, channelArgs }) });
const history = await roomy.workflow.getHandle('sixty').fetchHistory();
console.log(`fetchHistory with grpc.max_receive_message_length of 64 MiB: ${history.events.length} events`);
await Worker.runReplayHistory({ workflowsPath }, history, 'sixty');
console.log('replayed');

const isAsSeen = refused?.code === 8 && /larger than max \(\d+ vs 4194304\)/.test(refused.message) && history.events.length > 256;
console.log(isAsSeen ? 'as seen' : 'this has changed');
process.exit(isAsSeen ? 0 : 1);
JS
node run.mjs "$port"
