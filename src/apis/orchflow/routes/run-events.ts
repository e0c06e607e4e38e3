import { z } from 'zod';
import { findRunPlace } from '../../../../db/run-events.ts';
import { hasEnded } from '../../../../workflows/contract/states.ts';
import { notFound } from '../../../errors.ts';
import { keepOpen } from '../../../http/keep-open.ts';
import { createRouter, eventStream, route } from '../../../http/openapi.ts';
import type { RunStreamItem } from '../../../runs/events.ts';
import { runEventsHeaders, runEventsQuery } from '../schemas/run-events.ts';
import { id } from '../../../fields.ts';
import { sendEvents, type ServerSentEvent } from '../../../http/sse.ts';

export const runEventsRouter = createRouter();

const follow = route({
  method: 'get',
  path: '/{run_id}/events',
  operationId: 'followRun',
  scope: 'runs:read',
  tags: ['Runs'],
  summary: 'What happens in a run, as server-sent events until it ends',
  description: `Every event of the run in order, each once: \`id\` is its \`seq\` (from 1, no gaps), \`event\` its type, \`data\` is JSON
with \`run_id\`, \`seq\`, \`type\`, \`created_at\` and what the type tells. The stream stays open while people are waited for.
It ends with the event \`done\` {run_id, status}; a reader that comes back after that gets 204, which tells browsers to stop.

\`call.retrying\` {task_id, reason, tries, since, next_try_at} tells of a call that fails and is tried again for long; \`task_id\`
is null for the plan and the final output.

Between them, events \`delta\` {task_id, attempt, offset, text} carry the text of answers while models write them: \`task_id\`
is null for the final output, \`offset\` counts UTF-16 code units, and 0 begins anew. They have no \`id\` and may get lost; the
text that counts is the task's \`output\`.

To resume, send \`Last-Event-ID\` (as browsers do) or \`?after=\`: the last \`seq\` that was seen.`,
  request: { params: z.object({ run_id: id }), query: runEventsQuery, headers: runEventsHeaders },
  responses: {
    200: eventStream('The events'),
    204: { description: 'All was sent before, `done` too: do not come back' },
  },
  problems: [404],
});

runEventsRouter.openapi(follow, async (c) => {
  const { run_id } = c.req.valid('param');
  const last = c.req.valid('header')['last-event-id'];
  const { db, runEvents } = c.var.deps;
  const place = await findRunPlace(db, c.var.principal.account_id, run_id);
  if (!place) throw notFound('Run');
  // Who has seen more than there is, as after a backup was restored, shall miss nothing that comes.
  const seq = Math.min(last?.seq ?? c.req.valid('query').after, place.event_seq);
  if (last?.isDone && hasEnded(place.status) && seq >= place.event_seq) return c.body(null, 204);
  keepOpen(c);
  return sendEvents(c, (signal) => runEventsToWire(run_id, seq, runEvents.follow(run_id, seq, signal)));
});

async function* runEventsToWire(
  run_id: string,
  seq: number,
  items: AsyncIterable<RunStreamItem>,
): AsyncGenerator<ServerSentEvent | null> {
  for await (const item of items) {
    if ('event' in item) {
      const { type, created_at, data } = item.event;
      seq = item.event.seq;
      yield { id: String(seq), event: type, data: { ...data, run_id, seq, type, created_at } };
    } else if ('delta' in item) yield { event: 'delta', data: { type: 'delta', run_id, ...item.delta } };
    else if ('idle' in item) yield null;
    else if ('ended' in item)
      yield { id: `${seq}-done`, event: 'done', data: { type: 'done', run_id, status: item.ended } };
  }
}
