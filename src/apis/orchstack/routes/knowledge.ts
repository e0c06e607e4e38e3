import { z } from 'zod';
import { listKnowledgeBases, type KnowledgeBaseView } from '../../../../db/knowledge-bases.ts';
import { id } from '../../../fields.ts';
import { pageByTime, pageOf } from '../../../http/cursor.ts';
import { besides } from '../../../http/deadline.ts';
import { ifMatchHeader, setETag, versionsOfIfMatch } from '../../../http/entity-tags.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { body, createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import { HttpError } from '../../../http/problems.ts';
import {
  changeKnowledgeBase,
  createKnowledgeBase,
  getKnowledgeBase,
  removeKnowledgeBase,
} from '../../../knowledge/bases.ts';
import { searchKnowledge } from '../../../knowledge/search.ts';
import {
  createKnowledgeSchema,
  knowledgeDeletedSchema,
  knowledgeListQuery,
  knowledgeListSchema,
  knowledgeSchema,
  searchAnswerSchema,
  searchSchema,
  updateKnowledgeSchema,
} from '../schemas/knowledge.ts';

export const knowledgeRouter = createRouter();

const params = z.object({ knowledge_id: id });
const tags = ['Knowledge'];

/** For a model that embeds the query, in milliseconds. */
const longestEmbedding_ms = 15_000;

function knowledgeLinks(knowledge_id = '/knowledge_id') {
  return links(
    { knowledge_id },
    'getKnowledgeBase',
    'updateKnowledgeBase',
    'uploadDocuments',
    'listDocuments',
    'searchKnowledgeBase',
    'deleteKnowledgeBase',
  );
}

function toWire(base: KnowledgeBaseView): z.infer<typeof knowledgeSchema> {
  const { provider_id, embedding_model: model, dimensions, version: _, ...rest } = base;
  return { ...rest, embedding: { model, provider_id, dimensions, is_semantic: provider_id !== null } };
}

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createKnowledgeBase',
  scope: 'knowledge:write',
  tags,
  summary: 'Make a knowledge base, which agents and people search in',
  description:
    'Its documents are embedded by one model. Unless `embedding` names it, that of your newest provider of OpenAI or Gemini ' +
    "(at the vendor's own address); without one, hashed words: they find what shares words with a query, and not what means the same.",
  request: { body: body(createKnowledgeSchema) },
  responses: { 201: json(knowledgeSchema, 'The knowledge base, with nothing in it') },
  links: knowledgeLinks(),
  problems: [404],
});

knowledgeRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const most = deps.config.MAX_KNOWLEDGE_BASES_PER_ACCOUNT;
  const created = await createKnowledgeBase(deps, principal, c.req.valid('json'), most, idempotency);
  c.header('Location', `/v1/knowledge/${created.knowledge_id}`);
  setETag(c, String(created.version));
  return c.json(toWire(created), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listKnowledgeBases',
  scope: 'knowledge:read',
  tags,
  summary: 'The knowledge bases of this account, newest first',
  description: 'Pass `next_cursor` as `cursor` for the page after this one.',
  request: { query: knowledgeListQuery },
  responses: { 200: json(knowledgeListSchema, 'A page of knowledge bases') },
  links: {
    ...knowledgeLinks('/knowledge/0/knowledge_id'),
    ...links({ cursor: '/next_cursor' }, 'listKnowledgeBases'),
  },
});

knowledgeRouter.openapi(list, async (c) => {
  const { limit, cursor, sort, fields, name } = c.req.valid('query');
  const page = { name, ...pageByTime({ limit, cursor, sort }) };
  const found = await listKnowledgeBases(c.var.deps.db, c.var.principal.account_id, page);
  const { items, ...rest } = pageOf(found, limit, ({ knowledge_id }) => knowledge_id);
  return c.json({ knowledge: items.map((base) => pickFields(toWire(base), 'knowledge_id', fields)), ...rest }, 200);
});

const get = route({
  method: 'get',
  path: '/{knowledge_id}',
  operationId: 'getKnowledgeBase',
  scope: 'knowledge:read',
  tags,
  summary: 'A knowledge base, and how much is in it',
  description:
    'How far each document is stands at the document. `ETag` names the version of its name, description and embedding.',
  request: { params },
  responses: { 200: json(knowledgeSchema, 'The knowledge base') },
  links: knowledgeLinks(),
  problems: [404],
});

knowledgeRouter.openapi(get, async (c) => {
  const base = await getKnowledgeBase(c.var.deps, c.var.principal, c.req.valid('param').knowledge_id);
  setETag(c, String(base.version));
  return c.json(toWire(base), 200);
});

const update = route({
  method: 'patch',
  path: '/{knowledge_id}',
  operationId: 'updateKnowledgeBase',
  scope: 'knowledge:write',
  tags,
  summary: 'Change a knowledge base; what is not given stays',
  description:
    'With another `embedding`, all of its documents are embedded anew, and each that is done is told of as `knowledge.indexed`. ' +
    'What was found before is found meanwhile by its words; while documents are being indexed, this is a 409. With `If-Match` nothing is changed that was changed meanwhile.',
  request: { params, headers: ifMatchHeader, body: optionalBody(updateKnowledgeSchema) },
  responses: { 200: json(knowledgeSchema, 'The knowledge base as it is now') },
  links: knowledgeLinks(),
  problems: [404, 409, 412],
});

knowledgeRouter.openapi(update, async (c) => {
  const { knowledge_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  const versions = versionsOfIfMatch(c);
  const changed = await changeKnowledgeBase(deps, principal, knowledge_id, c.req.valid('json'), versions);
  setETag(c, String(changed.version));
  return c.json(toWire(changed), 200);
});

const remove = route({
  method: 'delete',
  path: '/{knowledge_id}',
  operationId: 'deleteKnowledgeBase',
  scope: 'knowledge:write',
  tags,
  summary: 'Delete a knowledge base, with its documents and their files',
  description:
    'What is being indexed ends. Agents that search in it go on: they are told that it is not there any more.',
  request: { params },
  responses: { 200: json(knowledgeDeletedSchema, 'It is not found any more') },
  problems: [404],
});

knowledgeRouter.openapi(remove, async (c) => {
  const { knowledge_id } = c.req.valid('param');
  await removeKnowledgeBase(c.var.deps, c.var.principal, knowledge_id);
  return c.json({ knowledge_id, status: 'deleted' as const, message: 'Knowledge base deleted.' }, 200);
});

const search = route({
  method: 'post',
  path: '/{knowledge_id}/search',
  operationId: 'searchKnowledgeBase',
  scope: 'knowledge:read',
  tags,
  summary: 'The passages that fit a query best',
  description:
    'By full text and by embeddings, joined by reciprocal rank. Documents are found once they are indexed. Where the model of ' +
    'the embeddings cannot be asked, the words alone count, and `warnings` says so.',
  request: { params, body: body(searchSchema) },
  responses: { 200: json(searchAnswerSchema, 'The passages, the best first') },
  links: links({ document_id: '/results/0/document_id' }, 'getDocument'),
  problems: [404],
});

knowledgeRouter.openapi(search, async (c) => {
  const { knowledge_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  await getKnowledgeBase(deps, principal, knowledge_id);
  const end = deps.searches.take(principal.account_id);
  if (!end) {
    const detail = `This account searches ${deps.searches.most} times at once, and may not more. Try again in a moment.`;
    throw new HttpError('LIMIT_REACHED', detail, { retry_after_seconds: 1 });
  }
  try {
    const searching = { ...deps, encryptionKey: deps.config.ENCRYPTION_KEY };
    const options = { signal: c.req.raw.signal, timeout_ms: longestEmbedding_ms, isTest: principal.mode === 'test' };
    const answer = await besides(c, longestEmbedding_ms, () =>
      searchKnowledge(searching, principal.account_id, [knowledge_id], c.req.valid('json'), options),
    );
    const results = answer.results.map(({ knowledge_id: _, ...result }) => result);
    return c.json({ ...answer, results }, 200);
  } finally {
    end();
  }
});
