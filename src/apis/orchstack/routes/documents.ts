import { z } from 'zod';
import { listDocuments } from '../../../../db/documents.ts';
import { requireRoomForFile } from '../../../../db/files.ts';
import { id } from '../../../fields.ts';
import { discardIncoming, fileTooLarge, maxFileBytes, receiveFile } from '../../../files/incoming.ts';
import { fileQuotasOf, longestPut_ms } from '../../../files/keep.ts';
import { pageByTime, pageOf } from '../../../http/cursor.ts';
import { besides } from '../../../http/deadline.ts';
import { idempotencyKeyOf } from '../../../http/idempotency.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { createRouter, filesBody, json, links, route } from '../../../http/openapi.ts';
import { readUploads, takeUpload } from '../../../http/upload.ts';
import { newId } from '../../../ids.ts';
import { getKnowledgeBase } from '../../../knowledge/bases.ts';
import { maxFilesAtOnce } from '../../../knowledge/bounds.ts';
import {
  addDocuments,
  getDocument,
  indexDocumentAgain,
  removeDocument,
  requireReadable,
  requireRoom,
} from '../../../knowledge/documents.ts';
import {
  documentDeletedSchema,
  documentListQuery,
  documentListSchema,
  documentSchema,
  uploadedSchema,
} from '../schemas/knowledge.ts';

export const documentsRouter = createRouter();

const params = z.object({ knowledge_id: id });
const documentParams = params.extend({ document_id: id });
const tags = ['Knowledge'];

const upload = route({
  method: 'post',
  path: '/{knowledge_id}/upload',
  operationId: 'uploadDocuments',
  scope: 'knowledge:write',
  tags,
  summary: `Add documents, up to ${maxFilesAtOnce} of at most 25 MiB each`,
  description:
    'The body is `multipart/form-data` with a part `files` for each: `curl -F files=@a.pdf -F files=@b.docx`; `files[]` and ' +
    '`file` are taken too. PDF, DOCX, HTML, Markdown, CSV and plain text are read; of tables each row stays one. All files are ' +
    'added or none, and indexed in the background: `status` of each goes from `pending` over `indexing` to `indexed` or ' +
    '`failed`, and subscriptions hear `knowledge.indexed` or `knowledge.failed`.',
  isUpload: true,
  request: { params, body: filesBody('The documents, with their names and media types.') },
  responses: { 201: json(uploadedSchema, 'The documents, which are to be indexed') },
  links: links({ document_id: '/documents/0/document_id' }, 'getDocument', 'deleteDocument'),
  problems: [404],
});

documentsRouter.openapi(upload, async (c) => {
  const { deps, principal } = c.var;
  const { db, config } = deps;
  const { account_id } = principal;
  const { knowledge_id } = c.req.valid('param');
  await getKnowledgeBase(deps, principal, knowledge_id);
  const target = { knowledge_id, most: config.MAX_DOCUMENTS_PER_KNOWLEDGE_BASE };
  const quotas = fileQuotasOf(config);
  const end = takeUpload(c);
  try {
    // Parts have some lines of their own.
    const most = maxFilesAtOnce * (maxFileBytes + 65_536);
    if (Number(c.req.header('content-length') ?? 0) > most) throw fileTooLarge();
    await requireRoom(db, target);
    await requireRoomForFile(db, account_id, 0, quotas);
    const come = { files: 0, bytes: 0 };
    const received = await readUploads(
      c,
      { fields: ['files', 'files[]', 'file'], most: maxFilesAtOnce },
      async (content, file) => {
        requireReadable(file);
        come.files += 1;
        await requireRoom(db, target, come.files);
        await requireRoomForFile(db, account_id, come.bytes, quotas, come.files);
        const one = await receiveFile(deps, newId('file'), content);
        come.bytes += one.size;
        return one;
      },
      ({ path }) => discardIncoming(path),
    );
    const idempotency_key = idempotencyKeyOf(c);
    const idempotency =
      idempotency_key === undefined
        ? undefined
        : {
            seed: `orchflow:documents:${principal.client_id ? `${account_id} ${principal.client_id}` : account_id}:${idempotency_key}`,
            isRetry: false,
            idempotency_key,
          };
    const duringPut = (put: () => Promise<void>) => besides(c, longestPut_ms, put);
    const documents = await addDocuments(deps, principal, target, received, { quotas, idempotency, duringPut });
    return c.json({ documents }, 201);
  } finally {
    end();
  }
});

const list = route({
  method: 'get',
  path: '/{knowledge_id}/documents',
  operationId: 'listDocuments',
  scope: 'knowledge:read',
  tags,
  summary: 'The documents of a knowledge base, newest first, with how far each is indexed',
  description: 'Pass `next_cursor` as `cursor` for the page after this one.',
  request: { params, query: documentListQuery },
  responses: { 200: json(documentListSchema, 'A page of documents') },
  links: {
    ...links({ document_id: '/documents/0/document_id' }, 'getDocument'),
    ...links({ cursor: '/next_cursor' }, 'listDocuments'),
  },
  problems: [404],
});

documentsRouter.openapi(list, async (c) => {
  const { deps, principal } = c.var;
  const { knowledge_id } = c.req.valid('param');
  const { limit, cursor, status, sort, fields } = c.req.valid('query');
  await getKnowledgeBase(deps, principal, knowledge_id);
  const filter = { status, ...pageByTime({ limit, cursor, sort }) };
  const found = await listDocuments(deps.db, principal.account_id, knowledge_id, filter);
  const { items, ...page } = pageOf(found, limit, ({ document_id }) => document_id);
  return c.json({ documents: items.map((one) => pickFields(one, 'document_id', fields)), ...page }, 200);
});

const get = route({
  method: 'get',
  path: '/{knowledge_id}/documents/{document_id}',
  operationId: 'getDocument',
  scope: 'knowledge:read',
  tags,
  summary: 'A document, and how far it is indexed',
  description: 'Its bytes: `GET /api/v1/files/{file_id}/content`.',
  request: { params: documentParams },
  responses: { 200: json(documentSchema, 'The document') },
  problems: [404],
});

documentsRouter.openapi(get, async (c) => {
  return c.json(await getDocument(c.var.deps, c.var.principal, c.req.valid('param')), 200);
});

const index = route({
  method: 'post',
  path: '/{knowledge_id}/documents/{document_id}/index',
  operationId: 'indexDocument',
  scope: 'knowledge:write',
  tags,
  summary: 'Index a document that has failed once more',
  description:
    'For when what it failed by is mended: a key, a quota, a model. What was read and embedded of it is kept.',
  request: { params: documentParams },
  responses: { 200: json(documentSchema, 'The document, which is to be indexed') },
  problems: [404, 409],
});

documentsRouter.openapi(index, async (c) => {
  return c.json(await indexDocumentAgain(c.var.deps, c.var.principal, c.req.valid('param')), 200);
});

const remove = route({
  method: 'delete',
  path: '/{knowledge_id}/documents/{document_id}',
  operationId: 'deleteDocument',
  scope: 'knowledge:write',
  tags,
  summary: 'Delete a document, with its file',
  description: 'At once nothing of it is found any more; where it is being indexed, that ends.',
  request: { params: documentParams },
  responses: { 200: json(documentDeletedSchema, 'It is not found any more') },
  problems: [404],
});

documentsRouter.openapi(remove, async (c) => {
  const { document_id, knowledge_id } = c.req.valid('param');
  await removeDocument(c.var.deps, c.var.principal, { document_id, knowledge_id });
  return c.json({ document_id, status: 'deleted' as const, message: 'Document deleted.' }, 200);
});
