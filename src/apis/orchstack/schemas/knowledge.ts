import { z } from 'zod';
import { maxDimensions } from '../../../knowledge/bounds.ts';
import { id, line, requestObject, text, timestamp } from '../../../fields.ts';
import { cursor, limit, sortByTime } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';

const name = line(200).meta({ example: 'Handbook' });
const description = text(0, 2_000);

const embedding = requestObject({
  provider_id: id.optional().meta({
    description: 'A provider of openai, gemini or ollama. Without one the embeddings are our own, of hashed words.',
  }),
  model: line(200).optional().meta({
    description:
      'An embedding model of it: `text-embedding-3-small`, `gemini-embedding-001` or `nomic-embed-text` unless given.',
  }),
  dimensions: z.int().min(1).max(maxDimensions).optional().meta({
    description:
      'How many numbers its vectors have; not with Ollama. Those of the model unless given, of Gemini 768, and of `text-embedding-3-large` 1,536.',
  }),
}).meta({ id: 'EmbeddingChoice' });

export const createKnowledgeSchema = requestObject({
  name,
  description: description.optional(),
  embedding: embedding.optional(),
}).meta({ id: 'CreateKnowledgeBase' });

export const updateKnowledgeSchema = requestObject({
  name: name.optional(),
  description: description.nullable().optional(),
  embedding: embedding.optional(),
}).meta({ id: 'UpdateKnowledgeBase' });

export const knowledgeSchema = z
  .object({
    knowledge_id: z.string().meta({ example: 'kb_abc123' }),
    name: z.string(),
    description: z.string().nullable(),
    embedding: z.object({
      model: z.string().meta({ example: 'text-embedding-3-small' }),
      provider_id: z.string().nullable().meta({ description: 'Null: our own embedding, of hashed words.' }),
      dimensions: z.int().nullable().meta({ description: 'Null until the model has first answered.' }),
      is_semantic: z.boolean().meta({
        description: 'Whether it knows what is meant. Hashed words find what shares words, or parts of them.',
      }),
    }),
    documents: z.int(),
    documents_indexed: z.int(),
    chunks: z.int().meta({ description: 'The passages of all documents that are read so far.' }),
    usage: z.object({ llm_calls: z.int(), input_tokens: z.int(), cost_usd: z.number() }).meta({
      id: 'EmbeddingUsage',
      description:
        'Of all calls of embedding models for it since it was made: for documents, for searches here, and for those of runs, whose own usage has them too.',
    }),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'KnowledgeBase' });

const page = { has_more: z.boolean(), next_cursor: z.string().nullable() };

export const knowledgeListQuery = z.object({
  limit,
  cursor,
  name: line(200).optional().meta({ description: 'Those of this name, whatever the case.', example: 'Handbook' }),
  sort: sortByTime,
  fields: fieldsQuery(knowledgeSchema, 'knowledge_id'),
});
export const knowledgeListSchema = z
  .object({ knowledge: z.array(sparse(knowledgeSchema, 'knowledge_id').meta({ id: 'KnowledgeBaseEntry' })), ...page })
  .meta({ id: 'KnowledgeBaseList' });

export const knowledgeDeletedSchema = z
  .object({ knowledge_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'KnowledgeBaseDeleted' });

const documentStatus = z.enum(['pending', 'indexing', 'indexed', 'failed']);

export const documentSchema = z
  .object({
    document_id: z.string().meta({ example: 'doc_abc123' }),
    knowledge_id: z.string(),
    file_id: z.string().meta({ description: 'As the file is kept: `GET /api/v1/files/{file_id}`.' }),
    name: z.string(),
    media_type: z.string(),
    size: z.int().meta({ description: 'In bytes.' }),
    sha256: z.string(),
    status: documentStatus,
    failure: z.string().nullable().meta({ description: 'Why it cannot be indexed.' }),
    pages: z.int().nullable().meta({ description: 'Null until they are counted, and of what has no pages.' }),
    pages_done: z.int().meta({ description: 'How many are read.' }),
    chunks: z.int().nullable().meta({ description: 'Its passages. Null until it is read.' }),
    chunks_done: z.int().meta({ description: 'How many of them are embedded.' }),
    created_at: timestamp,
    indexed_at: timestamp.nullable().meta({ description: 'Since then it is found.' }),
  })
  .meta({ id: 'KnowledgeDocument' });

export const documentListQuery = z.object({
  limit,
  cursor,
  status: documentStatus.optional(),
  sort: sortByTime,
  fields: fieldsQuery(documentSchema, 'document_id'),
});
export const documentListSchema = z
  .object({ documents: z.array(sparse(documentSchema, 'document_id').meta({ id: 'KnowledgeDocumentEntry' })), ...page })
  .meta({ id: 'KnowledgeDocumentList' });

export const uploadedSchema = z
  .object({ documents: z.array(documentSchema) })
  .meta({ id: 'KnowledgeUpload', description: 'In the order of the files.' });

export const documentDeletedSchema = z
  .object({ document_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'KnowledgeDocumentDeleted' });

export const searchSchema = requestObject({
  query: text(1, 2_000).meta({ example: 'How long may a return take?' }),
  limit: z.int().min(1).max(50).default(10),
}).meta({ id: 'SearchKnowledge' });

export const searchAnswerSchema = z
  .object({
    results: z.array(
      z
        .object({
          document_id: z.string(),
          document: z.string().meta({ description: 'Its name.' }),
          position: z.int().meta({ description: 'Which passage of the document it is, from 1.' }),
          page: z.int().nullable(),
          heading: z.string().nullable().meta({ description: 'The headings above it.', example: 'Returns › Refunds' }),
          text: z.string(),
          score: z.number().meta({ description: 'Reciprocal ranks, added up: 1 / (60 + rank) of each way.' }),
          text_rank: z.int().nullable().meta({ description: 'Its place by words; null: not among the first 50.' }),
          vector_rank: z
            .int()
            .nullable()
            .meta({ description: 'Its place by embeddings; null: not among the first 50.' }),
          similarity: z.number().nullable().meta({ description: 'The cosine of its embedding and that of the query.' }),
        })
        .meta({ id: 'KnowledgePassage' }),
    ),
    warnings: z.array(z.string()).meta({ description: 'Why it was searched by words only, where it was.' }),
  })
  .meta({ id: 'KnowledgeSearch' });
