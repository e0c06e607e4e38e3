import { inspect } from 'node:util';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino, type Logger } from 'pino';
import { createCodeActivities } from '../../activities/code-runs.ts';
import { createActivities } from '../../activities/index.ts';
import { mostWaiting } from '../../activities/lent-places.ts';
import { startCodeRuntime } from '../../src/code/runtime.ts';
import { loadConfig } from '../../src/config.ts';
import { dataConverter } from '../../src/temporal/client.ts';
import { workerOptions } from '../../src/temporal/worker-options.ts';
import { workflowBundle } from '../../src/temporal/workflow-bundle.ts';
import { codeDepsOf, startWorkerDeps } from '../../src/worker-deps.ts';

/** A worker in the process of the tests, which costs a third of a process of its own. */

/** What the workers of this process have logged since its last test file. */
export const workerLines: string[] = [];
const errors = new DefaultLogger('ERROR');
// Once in a process, before its first worker.
Runtime.install({
  logger: new DefaultLogger('DEBUG', ({ level, message, meta }) => {
    workerLines.push(`${message} ${inspect(meta, { depth: 8 })}`);
    errors.log(level, message, meta);
  }),
});

/** A log all of which is kept in `lines`. Errors are shown too. */
export function keepLog(lines: string[]): Logger {
  const kept = { level: 'debug', stream: { write: (line: string) => void lines.push(line) } };
  return pino({ level: 'debug' }, pino.multistream([kept, { level: 'error', stream: process.stdout }]));
}

/** Resolves when it takes work. A call that is under way when it stops is given up at once. */
export async function startWorker(env: Record<string, string>) {
  const config = loadConfig(env);
  const connection = await NativeConnection.connect({ address: config.TEMPORAL_ADDRESS });
  const log = keepLog(workerLines);
  const { deps, close } = startWorkerDeps({ config, log });
  const worker = await Worker.create({
    ...workerOptions(config.WORKER_PLACES),
    shutdownGraceTime: 0,
    workflowBundle: await workflowBundle({ encrypts: config.PAYLOAD_ENCRYPTION }),
    dataConverter: dataConverter(config),
    connection,
    taskQueue: config.TEMPORAL_TASK_QUEUE,
    activities: createActivities(deps),
  });
  const running = [worker.run()];
  const code = config.SANDBOX_DRIVER === 'none' ? undefined : await startCodeRuntime(config, { ...deps, log });
  const codeWorker =
    code?.runtime &&
    (await Worker.create({
      ...workerOptions(config.SANDBOX_PLACES * (1 + mostWaiting)),
      shutdownGraceTime: 0,
      dataConverter: dataConverter(config),
      connection,
      taskQueue: `${config.TEMPORAL_TASK_QUEUE}-code`,
      activities: createCodeActivities(codeDepsOf(config, deps, code.runtime)),
    }));
  if (codeWorker) running.push(codeWorker.run());
  return {
    async stop() {
      worker.shutdown();
      codeWorker?.shutdown();
      await Promise.all(running);
      await code?.close();
      await close();
      await connection.close();
    },
  };
}
