import { setTimeout as sleep } from 'node:timers/promises';
import { startFakeEmbeddings, type EmbeddingReply } from '../test/fakes/embeddings.ts';
import type { ModelFault } from './outside.ts';
import type { Random } from './random.ts';

/** What an embedding model does in the bad hours of its vendor. In all others it answers. */
const faults: Partial<Record<ModelFault, EmbeddingReply>> = {
  'rate limit, seconds': { status: 429, headers: { 'retry-after': '2' } },
  'rate limit': { status: 429 },
  'error 500': { status: 500 },
  overloaded: { status: 529 },
  'key refused': { status: 401 },
  'hang before headers': { hang: true },
  null: { status: 200, body: null },
};

/** A call as it reached the model. Times are milliseconds since 1970. */
export type EmbeddingEntry = {
  texts: string[];
  at: number;
  /** When it was answered, with vectors unless there was a fault. */
  answered_at?: number;
  fault?: ModelFault;
};

/** Of documents a call may have one passage too, which is as the shelf writes it (`textOf`); a query is a word. */
export const isOfDocument = ({ texts }: EmbeddingEntry): boolean => texts.length > 1 || texts[0]!.startsWith('Item ');

/** The model of embeddings that documents are indexed by. */
export async function startEmbedder(random: Random) {
  const fake = await startFakeEmbeddings();
  const calls: EmbeddingEntry[] = [];
  let weather: ModelFault | undefined;
  let held: PromiseWithResolvers<void> | undefined;
  fake.on(async ({ texts }) => {
    const call: EmbeddingEntry = { texts, at: Date.now() };
    calls.push(call);
    await sleep(random.between(20, 400));
    await held?.promise;
    const fault = weather && faults[weather] && random.chance(0.7) ? weather : undefined;
    call.fault = fault;
    call.answered_at = Date.now();
    return fault && faults[fault];
  });
  return {
    url: fake.baseUrl('openai'),
    calls,
    /** Calls for documents. */
    openCalls: () => calls.filter((call) => isOfDocument(call) && call.answered_at === undefined).length,
    setWeather: (next: ModelFault | undefined) => (weather = next),
    /** Answers nothing meanwhile. */
    hold(hold: boolean) {
      held?.resolve();
      held = hold ? Promise.withResolvers() : undefined;
    },
    close: () => fake.close(),
  };
}
