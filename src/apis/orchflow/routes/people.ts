import { z } from 'zod';
import { deletePerson, findPerson, listPeople, updatePerson } from '../../../../db/people.ts';
import { notFound } from '../../../errors.ts';
import { requireCallable } from '../../../fetch/index.ts';
import { id } from '../../../fields.ts';
import { pageOf, readCursor } from '../../../http/cursor.ts';
import { body, createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import { addPerson, maxPeople, renewPersonKey } from '../../../people/people.ts';
import {
  createPersonSchema,
  personDeletedSchema,
  personListQuery,
  personListSchema,
  personSchema,
  personWithKeySchema,
  updatePersonSchema,
} from '../schemas/person.ts';

export const peopleRouter = createRouter();

const params = z.object({ person_id: id });

/** Of who makes a key for a person. */
const neededBeside = 'The key that asks needs `runs:read` and `gates:answer` too, as it gives them away.';

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createPerson',
  scope: 'people:write',
  givesSecret: true,
  tags: ['People'],
  summary: 'Add a person, with a key of their own; it is shown this once',
  description:
    'Their key sees and answers the gates that are assigned to them, and those that are assigned to nobody and ask for skills ' +
    `which they have all of; for it there is nothing else. Gates that wait for such skills are theirs soon. ${neededBeside} An account has at most ${maxPeople} people.`,
  request: { body: body(createPersonSchema) },
  responses: { 201: json(personWithKeySchema, 'The person, with their key') },
  links: links({ person_id: '/person_id' }, 'getPerson', 'updatePerson', 'renewPersonKey', 'deletePerson'),
});

peopleRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { email = null, notify_url = null, max_open = null, ...given } = c.req.valid('json');
  requireCallable(deps.checkAddress, [[['notify_url'], notify_url]]);
  const added = await addPerson(deps, principal, { ...given, email, notify_url, max_open }, idempotency);
  deps.assigner.look(principal.account_id);
  return c.json(added, 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listPeople',
  scope: 'people:read',
  tags: ['People'],
  summary: 'The people of this account, newest first',
  description: 'Each with the number of open gates that are assigned to them.',
  request: { query: personListQuery },
  responses: { 200: json(personListSchema, 'A page of people') },
  links: links({ person_id: '/people/0/person_id' }, 'getPerson'),
});

peopleRouter.openapi(list, async (c) => {
  const { limit, cursor, ...filter } = c.req.valid('query');
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const { db } = c.var.deps;
  const found = await listPeople(db, c.var.principal.account_id, { ...filter, limit: limit + 1, after });
  const { items: people, ...page } = pageOf(found, limit, ({ person_id }) => person_id);
  return c.json({ people, ...page }, 200);
});

const get = route({
  method: 'get',
  path: '/{person_id}',
  operationId: 'getPerson',
  scope: 'people:read',
  tags: ['People'],
  summary: 'A person, and how many gates wait for them',
  description: 'Of their key, how it begins and when it was last used.',
  request: { params },
  responses: { 200: json(personSchema, 'The person, without their key') },
  problems: [404],
});

peopleRouter.openapi(get, async (c) => {
  const found = await findPerson(c.var.deps.db, c.var.principal.account_id, c.req.valid('param').person_id);
  if (!found) throw notFound('Person');
  return c.json(found, 200);
});

const update = route({
  method: 'patch',
  path: '/{person_id}',
  operationId: 'updatePerson',
  scope: 'people:write',
  tags: ['People'],
  summary: 'Change a person; what is not given stays',
  description:
    'Null takes `email`, `notify_url` or `max_open` away. What they may not have any more (they are inactive, lack a skill, or ' +
    'have more than `max_open`) goes within seconds to the next who fits, or waits for one; what waits for them, they are given.',
  request: { params, body: optionalBody(updatePersonSchema) },
  responses: { 200: json(personSchema, 'The person as they are now') },
  problems: [404],
});

peopleRouter.openapi(update, async (c) => {
  const change = c.req.valid('json');
  const { db, checkAddress, assigner } = c.var.deps;
  const { account_id } = c.var.principal;
  requireCallable(checkAddress, [[['notify_url'], change.notify_url]]);
  const updated = await updatePerson(db, account_id, c.req.valid('param').person_id, change);
  if (!updated) throw notFound('Person');
  assigner.look(account_id);
  return c.json(updated, 200);
});

const renewKey = route({
  method: 'post',
  path: '/{person_id}/key',
  operationId: 'renewPersonKey',
  scope: 'people:write',
  givesSecret: true,
  tags: ['People'],
  summary: 'A new key for a person, shown once; the one before ends',
  description: `A second later no server takes the key before any more. ${neededBeside}`,
  request: { params },
  responses: { 200: json(personWithKeySchema, 'The person, with their new key') },
  problems: [404],
});

peopleRouter.openapi(renewKey, async (c) => {
  const { deps, principal, idempotency } = c.var;
  return c.json(await renewPersonKey(deps, principal, c.req.valid('param').person_id, idempotency), 200);
});

const remove = route({
  method: 'delete',
  path: '/{person_id}',
  operationId: 'deletePerson',
  scope: 'people:write',
  tags: ['People'],
  summary: 'Remove a person, and their key',
  description:
    'Their open gates go within seconds to the next who fits, or wait for one. What they have answered stays.',
  request: { params },
  responses: { 200: json(personDeletedSchema, 'They are gone') },
  problems: [404],
});

peopleRouter.openapi(remove, async (c) => {
  const { person_id } = c.req.valid('param');
  const { db, assigner } = c.var.deps;
  const { account_id } = c.var.principal;
  if (!(await deletePerson(db, account_id, person_id))) throw notFound('Person');
  assigner.look(account_id);
  return c.json({ person_id, status: 'deleted' as const, message: 'Person removed.' }, 200);
});
