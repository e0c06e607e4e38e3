import { z } from 'zod';
import { listSearchedBases } from '../../db/knowledge-bases.ts';
import { defineTool, type Tool } from '../tools/index.ts';
import { searchKnowledge, type SearchDeps } from './search.ts';

/** For a model that embeds the query, in milliseconds. */
const timeout_ms = 30_000;

/**
 * The tool by which an agent searches in its knowledge bases. It answers with passages and what they came from, as JSON; where
 * there is nothing, or a base is gone, in words.
 */
export async function searchKnowledgeTool(
  deps: SearchDeps,
  account_id: string,
  knowledge_ids: string[],
  { isTest, of }: { isTest: boolean; of?: { run_id: string; task_id: string | null } | undefined },
): Promise<Tool> {
  const bases = await listSearchedBases(deps.db, account_id, knowledge_ids);
  const names = bases.map(({ name }) => `"${name}"`).join(', ');
  return defineTool({
    name: 'search_knowledge',
    description:
      `Searches the documents of ${names || 'knowledge bases'} and returns the passages that fit best, with the document and the ` +
      'page of each. Ask in the words that a document would use; ask again in others when it does not find what you need. Say ' +
      'which document you have something from.',
    parameters: z.object({
      query: z.string().min(1).max(2_000).describe('What is looked for: a question, or words.'),
      limit: z.int().min(1).max(20).default(6).describe('How many passages.'),
    }),
    async run({ query, limit }, { signal, idempotency_key }) {
      const there = await listSearchedBases(deps.db, account_id, knowledge_ids);
      const gone = knowledge_ids.filter((id) => !there.some(({ knowledge_id }) => knowledge_id === id));
      const notes = gone.map((id) => `The knowledge base ${id} is not there any more.`);
      const { results, warnings } = await searchKnowledge(
        deps,
        account_id,
        knowledge_ids,
        { query, limit },
        {
          signal,
          timeout_ms,
          isTest,
          caller: of && { ...of, call_id: idempotency_key },
        },
      );
      notes.push(...warnings);
      if (results.length === 0) return ['Nothing was found.', ...notes].join(' ');
      const passages = results.map(({ document, document_id, knowledge_id, page, heading, score, text }) => ({
        document,
        document_id,
        knowledge_id,
        page,
        heading,
        score: Number(score.toFixed(4)),
        text,
      }));
      return JSON.stringify({ passages, ...(notes.length > 0 && { notes }) }, null, 1);
    },
  });
}
