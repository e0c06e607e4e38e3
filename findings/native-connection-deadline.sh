#!/usr/bin/env bash
# @temporalio/worker 1.24.0, @temporalio/client 1.24.0, Node 20: a deadline on a worker's connection.
#
# `client.withDeadline(Date.now() + 2_500, …)` says when a call must be over. Over a `Connection` it is. Over a worker's
# `NativeConnection` it is the time of each try: a server that answers UNAVAILABLE is asked again for twice as long.
#
#   Connection: 5 tries, the last one after 1.8 s
#   NativeConnection: 9 tries, the last one after 5.5 s
#
# The guess was that neither asks again after the 2.5 seconds. Whoever delivers something from a worker, under a claim that
# was measured by its deadline, may still be at it when the claim has run out.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @temporalio/client@1.24.0 @temporalio/worker@1.24.0 @grpc/grpc-js@1.14.7
cat >run.mjs <<'JS'
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';

Runtime.install({ logger: new DefaultLogger('ERROR') });
// A frontend that is there and cannot work: empty messages are valid ones.
let tries = [];
const method = (name) => ({
  path: `/temporal.api.workflowservice.v1.WorkflowService/${name}`,
  requestStream: false,
  responseStream: false,
  requestSerialize: (bytes) => bytes,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: (bytes) => bytes,
  responseDeserialize: (bytes) => bytes,
});
const server = new Server();
server.addService(
  { GetSystemInfo: method('GetSystemInfo'), StartWorkflowExecution: method('StartWorkflowExecution') },
  {
    GetSystemInfo: (_, answer) => answer(null, Buffer.alloc(0)),
    StartWorkflowExecution: (_, answer) => {
      tries.push(performance.now());
      answer({ code: status.UNAVAILABLE, details: 'no shard' });
    },
  },
);
const port = await new Promise((resolve, reject) =>
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
    error ? reject(error) : resolve(bound),
  ),
);

const lastTry = {};
for (const [name, kind] of Object.entries({ Connection, NativeConnection })) {
  const connection = await kind.connect({ address: `127.0.0.1:${port}` });
  const client = new Client({ connection });
  tries = [];
  const began = performance.now();
  await client
    .withDeadline(Date.now() + 2_500, () =>
      client.workflow.start('any', { workflowId: 'one', taskQueue: 'queue', args: [] }),
    )
    .then(
      () => console.log('started?'),
      () => {},
    );
  lastTry[name] = (tries.at(-1) - began) / 1_000;
  console.log(`${name}: ${tries.length} tries, the last one after ${lastTry[name].toFixed(1)} s`);
  await connection.close();
}
server.forceShutdown();
const isAsSeen = lastTry.Connection < 2.6 && lastTry.NativeConnection > 3.5;
console.log(isAsSeen ? 'as seen' : 'this has changed');
process.exit(isAsSeen ? 0 : 1);
JS
node run.mjs
