import { startFakeModel } from '../../test/fakes/model.ts';
import { register } from '../../test/harness/client.ts';
import { createStack } from '../../test/harness/orchstack.ts';
import type { Servers } from '../servers.ts';
import { makeRow, ms, percentile, type Row } from '../table.ts';

const runs = 60;
const most = 15;

/** A streamed run of OrchStack's: from the first word that the model writes to the event at the client. One run after another. */
export async function firstToken({ url }: Servers): Promise<Row[]> {
  // In this process, so that both times are of one clock.
  const model = await startFakeModel();
  const user = await register(url);
  const stack = createStack(url, user);
  const agent_id = await stack.createAgent({ provider_id: await user.addProvider(model) });
  const took: number[] = [];
  for (let n = 0; n < runs; n += 1) {
    let written = NaN;
    const say = async function* () {
      written = performance.now();
      yield 'First ';
      yield 'words.';
    };
    model.on(() => ({ say: say() }));
    const { events } = await stack.stream(`/agents/${agent_id}/run`, { input: 'Go.', stream: true });
    took.push(events.find(({ event }) => event === 'token')!.at - written);
  }
  await model.close();
  const what = "a model's first word -> token at the reader of POST /v1/agents/{id}/run";
  const row = (name: string, share: number) =>
    makeRow({ what: `${what}, ${name}`, unit: ms, bars: [{ most }] }, { now: [[percentile(took, share)]] });
  return [row('p50', 0.5), row('p95', 0.95)];
}
