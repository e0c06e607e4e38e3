import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { startFakeModel } from '../test/fakes/model.ts';
import { scriptRun } from '../test/harness/script.ts';

/**
 * The fake model as a process of its own. Each line that it reads is its latency from then on, in ms; a goal that says
 * "slowly" waits three seconds a call instead. Prints its URL, then a line of JSON for each call.
 */
let latency_ms = 0;
createInterface({ input: process.stdin }).on('line', (line) => (latency_ms = Number(line)));
const model = await startFakeModel();
scriptRun(model, {
  plan: ['Research the market', 'Analyse the prices', 'Analyse the channels', 'Write the report'],
  dependencies: { T2: ['T1'], T3: ['T1'], T4: ['T2', 'T3'] },
  execute: (call) => `Output of ${call.task_id}. ${'It has some sentences of text. '.repeat(30)}`,
});
model.on(async ({ prompt, purpose, task_id, run_marker }) => {
  if (run_marker) console.log(JSON.stringify({ call: `${run_marker}/${purpose}/${task_id ?? ''}`, at: Date.now() }));
  await sleep(prompt.includes('slowly') ? 3_000 : latency_ms);
  return undefined;
});
// Nothing reads the recorded calls here.
setInterval(() => (model.calls = []), 1_000).unref();
console.log(model.url);
