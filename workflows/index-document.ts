import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  sleep,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { IndexingRef } from './contract/knowledge.ts';

/** For so long a step is tried again and again: a provider may be away for hours. */
const scheduleToCloseTimeout = '24h';
const options = { startToCloseTimeout: '15m', heartbeatTimeout: '20s', scheduleToCloseTimeout } as const;
const retry = { initialInterval: '1s', maximumInterval: '30s' } as const;

const { extractDocument, embedChunks } = proxyActivities<Activities>({ ...options, retry });
const { finishIndexing } = proxyActivities<Activities>({ startToCloseTimeout: '30s', retry });

/**
 * Indexes a document: its text is taken out of its file and cut into chunks, these are embedded batch by batch, and it is
 * found from then on. Texts and embeddings are in Postgres, and not here. What cannot be read ends as `failed`, with the
 * reason, and so does what an operator cancels; what is deleted meanwhile ends here without a word.
 */
export async function indexDocument(document: IndexingRef): Promise<void> {
  try {
    await inItsTurn(() => extractDocument.executeWithOptions({ summary: 'extract' }, [document]));
    while (await inItsTurn(embedSome)) continue;
    await finishIndexing.executeWithOptions({ summary: 'indexed' }, [document, null]);
  } catch (error) {
    if (isCancellation(error)) {
      // Of one that is deleted there is nothing to note any more.
      await CancellationScope.nonCancellable(() =>
        finishIndexing.executeWithOptions({ summary: 'cancelled' }, [document, cancelled]),
      );
      throw error;
    }
    // What is no failure of an activity is a fault of ours, which Temporal tries again.
    if (!(error instanceof ActivityFailure)) throw error;
    if (typeOf(error) === 'DocumentGone') return;
    const reason = error.cause instanceof ApplicationFailure ? error.cause.message : 'It took too long.';
    await finishIndexing.executeWithOptions({ summary: 'failed' }, [document, reason]);
  }

  async function embedSome(): Promise<boolean> {
    const { left } = await embedChunks.executeWithOptions({ summary: 'embed' }, [document]);
    return left > 0;
  }
}

const cancelled = 'Its indexing was cancelled by the operator of this server.';

function typeOf({ cause }: ActivityFailure): string | null | undefined {
  return cause instanceof ApplicationFailure ? cause.type : undefined;
}

/** Work that is put off, since its account has no place for it or is suspended, is begun anew after its pause. */
async function inItsTurn<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isPutOff = error instanceof ActivityFailure && ['WorkQueued', 'AccountSuspended'].includes(typeOf(error)!);
      if (!isPutOff) throw error;
      await sleep(Number((error.cause as ApplicationFailure).details?.[0] ?? 60_000));
    }
  }
}
