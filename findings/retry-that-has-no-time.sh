#!/usr/bin/env bash
# Temporal server 1.29.1 (its CLI 1.5.1, built with Go), @temporalio/client, worker and workflow 1.24.0: what a workflow is told of an
# activity whose scheduleToCloseTimeout bounds its tries.
#
# When the next try would begin after that time, the server does not wait for the time to be over: the activity fails at once, with the
# failure of its last try as the cause, and the retryState is TIMEOUT, though no time is over. And when it is over in the middle of a try, the
# cause is a timeout, and the retryState is NON_RETRYABLE_FAILURE. Of 5 seconds:
#
#   a try that takes longer: TimeoutFailure SCHEDULE_TO_CLOSE, NON_RETRYABLE_FAILURE, after 5 s
#   a failure with a nextRetryDelay of a minute: ApplicationFailure Busy, TIMEOUT, after 0 s
#
# The guess was TIMEOUT in the first line, and in the second a timeout after 5 seconds, or Busy then. Whoever has a workflow begin an activity
# anew when its cause is one that says "later" (a rate limit with Retry-After) has it spin as fast as Temporal can, until the
# workflow's own time is over: retryState TIMEOUT beside a cause that is no timeout says that there is no time for that.
set -euo pipefail
command -v go >/dev/null || { echo 'Go builds the server'; exit 0; }
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
GOBIN=$work GOFLAGS=-modcacherw go install github.com/temporalio/cli/cmd/temporal@v1.5.1
npm init -y >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund @temporalio/client@1.24.0 @temporalio/worker@1.24.0 @temporalio/workflow@1.24.0 @temporalio/activity@1.24.0
port=$(node -e "const s = require('net').createServer().listen(0, () => { console.log(s.address().port); s.close(); })")
./temporal server start-dev --headless --port "$port" --log-level never &
server=$!
cat >workflows.js <<'JS'
import { ActivityFailure, proxyActivities } from '@temporalio/workflow';
const { askLater, isSlow } = proxyActivities({ scheduleToCloseTimeout: '5 seconds' });

async function outcome(call) {
  const since = Date.now();
  const error = await call().catch((error) => error);
  if (!(error instanceof ActivityFailure)) throw error;
  const { cause, retryState } = error;
  const kind = cause.timeoutType ? `${cause.name} ${cause.timeoutType}` : `${cause.name} ${cause.type}`;
  return { text: `${kind}, ${retryState}`, seconds: Math.round((Date.now() - since) / 1_000) };
}

export const later = () => outcome(askLater);
export const slow = () => outcome(isSlow);
JS
cat >run.mjs <<'JS'
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/activity';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

Runtime.install({ logger: new DefaultLogger('ERROR') });
const address = `127.0.0.1:${process.argv[2]}`;
let connection;
for (let tries = 0; !connection && tries < 300; tries += 1)
  connection = await NativeConnection.connect({ address }).catch(() => sleep(100));
const workflowsPath = new URL('workflows.js', import.meta.url).pathname;
const activities = {
  async askLater() {
    throw ApplicationFailure.create({ type: 'Busy', message: 'Ask in a minute.', nextRetryDelay: '1 minute' });
  },
  async isSlow() {
    await sleep(8_000);
  },
};
const worker = await Worker.create({ connection, taskQueue: 'queue', workflowsPath, activities });
const client = new Client({ connection: await Connection.connect({ address }) });
const run = (name) => client.workflow.execute(name, { workflowId: name, taskQueue: 'queue' });
const [later, slow] = await worker.runUntil(async () => [await run('later'), await run('slow')]);
console.log(`a try that takes longer: ${slow.text}, after ${slow.seconds} s`);
console.log(`a failure with a nextRetryDelay of a minute: ${later.text}, after ${later.seconds} s`);
JS
# The worker also logs that the slow try has ended too late.
node run.mjs "$port" | grep '^a ' | tee seen
diff seen - <<'SEEN'
a try that takes longer: TimeoutFailure SCHEDULE_TO_CLOSE, NON_RETRYABLE_FAILURE, after 5 s
a failure with a nextRetryDelay of a minute: ApplicationFailure Busy, TIMEOUT, after 0 s
SEEN
