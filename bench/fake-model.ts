import { startFakeModel } from '../test/fakes/model.ts';
import { scriptRun } from '../test/script.ts';

/** The fake model as a process of its own. Arguments: latency in ms. Prints its URL, then answers until it is killed. */
const model = await startFakeModel();
model.latency_ms = Number(process.argv[2]);
scriptRun(model, {
  plan: ['Research the market', 'Analyse the prices', 'Analyse the channels', 'Write the report'],
  dependencies: { T2: ['T1'], T3: ['T1'], T4: ['T2', 'T3'] },
  execute: (call) => `Output of ${call.task_id}. ${'It has some sentences of text. '.repeat(30)}`,
});
// Nothing reads the recorded calls here.
setInterval(() => (model.calls = []), 1_000).unref();
console.log(model.url);
