import { z } from 'zod';
import { findInboxItem, listInbox, type InboxItem } from '../../../../db/inbox.ts';
import { notFound } from '../../../errors.ts';
import { gateId } from '../../../fields.ts';
import { pageOf, readDueCursor } from '../../../http/cursor.ts';
import { createRouter, json, links, route } from '../../../http/openapi.ts';
import { sendJson } from '../../../http/send-json.ts';
import { inboxItemSchema, inboxQuery, inboxSchema } from '../schemas/inbox.ts';

export const inboxRouter = createRouter();

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listInbox',
  scope: 'runs:read',
  forPeople: true,
  tags: ['People'],
  summary: 'Everything that waits for people, what is due first at first',
  description:
    "With a person's own key: what they may answer. Each with what it takes to decide; a text of more than 2,000 characters is cut " +
    'here, and whole in `GET /inbox/{gate_id}`. Where the texts of a page would be more than 8 MiB, each is cut to an equal share of ' +
    'that. What is never due comes last, and of that what has waited longest first.',
  request: { query: inboxQuery },
  responses: { 200: json(inboxSchema, 'A page of gates') },
  links: {
    ...links({ gate_id: '/gates/0/gate_id' }, 'getInboxItem'),
    ...links({ run_id: '/gates/0/run_id', task_id: '/gates/0/task_id' }, 'completeTask', 'assignTask'),
  },
});

inboxRouter.openapi(list, async (c) => {
  const { limit, cursor, overdue, ...filter } = c.req.valid('query');
  const after = cursor === undefined ? undefined : readDueCursor(cursor);
  const isOverdue = overdue === undefined ? {} : { overdue: overdue === 'true' };
  const page = { limit: limit + 1, ...(after && { after: { ...after, gate_id: after.id } }) };
  const found = await listInbox(c.var.deps.db, c.var.principal, { ...filter, ...isOverdue }, page);
  const placeOf = ({ due_at, created_at }: (typeof found)[number]) => ({ due_at, opened_at: created_at });
  const { items, ...more } = pageOf(found, limit, ({ gate_id }) => gate_id, placeOf);
  const gates = `[${items.map(({ item }) => item).join(',')}]`;
  return sendJson<{ gates: InboxItem[]; has_more: boolean; next_cursor: string | null }>(
    c,
    `{"gates":${gates},${JSON.stringify(more).slice(1)}`,
  );
});

const get = route({
  method: 'get',
  path: '/{gate_id}',
  operationId: 'getInboxItem',
  scope: 'runs:read',
  forPeople: true,
  tags: ['People'],
  summary: 'What waits at a gate, with all its material',
  description: 'As long as it is open. Its texts are whole, up to 8 MiB together.',
  request: { params: z.object({ gate_id: gateId }) },
  responses: { 200: json(inboxItemSchema, 'The question, and what it takes to decide') },
  links: links({ run_id: '/run_id', task_id: '/task_id' }, 'completeTask', 'assignTask'),
  problems: [404],
});

inboxRouter.openapi(get, async (c) => {
  const item = await findInboxItem(c.var.deps.db, c.var.principal, c.req.valid('param').gate_id);
  if (!item) throw notFound('Gate');
  return sendJson(c, item);
});
