import { answerAfter } from '../../../http/answer-after.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { HttpError } from '../../../http/problems.ts';
import { latestBeginning, operate, type Ask } from '../operate.ts';
import { batchResultsSchema, batchSchema } from '../schemas/batch.ts';

const batch = route({
  method: 'post',
  path: '/',
  operationId: 'runBatch',
  scope: 'batch:write',
  longest_seconds: 60,
  tags: ['OrchStack batch'],
  summary: 'Do several operations, one after the other, and answer what became of each',
  description: `At most 100 operations below \`/v1/\`, in their order; one that fails stops none of the others. Each is a request of its own: it
needs its scope of this key, counts against the rate limits, and has its own time. Nothing is streamed, uploaded or waited for: a run is
answered with 202 and its id, unless it has ended by then. An operation that could not begin within 30 seconds is 503, and an answer that finds
no room in 8 MiB is left out (\`body_omitted\`).

With an \`Idempotency-Key\` the batch is sent again safely, when no answer came or some operations have failed: each operation that was
done is answered as it was, whatever its method, and the others are done. A GET reads anew.`,
  request: { body: body(batchSchema) },
  responses: { 200: json(batchResultsSchema, 'What became of each, whatever that is') },
});

/** `ask` is the app that all requests come to. */
export function createBatchRouter(ask: Ask) {
  const router = createRouter();

  router.openapi(batch, async (c) => {
    if (c.env.isInBatch) throw new HttpError('NOT_FOUND', 'A batch has no batches.');
    const { batches } = c.var.deps;
    const { operations } = c.req.valid('json');
    const leave = batches.take(c.var.principal.account_id);
    if (!leave) {
      const detail = `This account has ${batches.most} batches under way here, and may have no more. Try again later.`;
      throw new HttpError('LIMIT_REACHED', detail, { retry_after_seconds: 5 });
    }
    // Its operations keep their answers, each by itself.
    const work = operate(c, ask, operations).finally(leave);
    c.set('keepsNoAnswer', work);
    return answerAfter(c, {
      most_ms: latestBeginning + 10_000,
      wait: () => work,
      answer: (results) => c.json({ results }, 200),
    });
  });

  return router;
}
