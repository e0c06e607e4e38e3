import { setTimeout as sleep } from 'node:timers/promises';
import type { DocumentView } from '../db/documents.ts';
import type { Account } from './accounts.ts';
import type { Firsts } from './firsts.ts';
import { keepingSeconds } from './limits.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';

/** Those who put documents into the knowledge base of their account, search in it, and take some out again. */

/** In seconds: so long a search waits for the embedder, besides its own time (`src/apis/orchstack/routes/knowledge.ts`). */
const longestEmbedding = 15;

/** Of one document that fails, since the key of its model is refused. */
const mostAgain = 5;

/** The word of a document that no other has, in one of its passages. */
export const wordOf = (name: string) => `zq${name.replaceAll(/[^a-z0-9]/g, '')}`;

type Given = Pick<Requests, 'attempt' | 'insist' | 'read'> & {
  random: Random;
  firsts: Firsts;
  isOver: () => boolean;
};

export function createShelf({ insist, read, random, firsts, isOver }: Given) {
  async function add(account: Account, names: string[]): Promise<DocumentView[]> {
    const key = `add-${names[0]}`;
    const files = names.map((name) => new File([textOf(name, random)], name, { type: 'text/plain' }));
    const operation = { op: 'add documents' as const, account: account.name, names, key, wait: keepingSeconds };
    const request = { method: 'POST', path: `/v1/knowledge/${account.knowledge_id}/upload`, files, key };
    const { outcome, body } = await insist(account, operation, request);
    return outcome === 'ok' ? body.documents : [];
  }

  /** One that fails is indexed again, as after its key is mended. Returns the document as it is in the end. */
  async function untilDone(account: Account, document_id: string): Promise<DocumentView | undefined> {
    const path = `/v1/knowledge/${account.knowledge_id}/documents/${document_id}`;
    for (let again = 0; !isOver(); await sleep(random.between(300, 800))) {
      const { outcome, body } = await read(account, { op: 'list' }, path);
      if (outcome === 'fail') return undefined;
      const document = outcome === 'ok' ? (body as DocumentView) : undefined;
      if (document?.status === 'indexed' || (document?.status === 'failed' && again === mostAgain)) return document;
      if (document?.status !== 'failed') continue;
      again += 1;
      const operation = { op: 'index again' as const, document_id, n: again };
      await insist(account, operation, { method: 'POST', path: `${path}/index`, key: `again-${document_id}-${again}` });
    }
    return undefined;
  }

  async function search(account: Account, { document_id, name }: DocumentView, due: 'found' | 'gone'): Promise<void> {
    const word = wordOf(name);
    const operation = { op: 'search' as const, account: account.name, word, document_id, due, wait: longestEmbedding };
    const path = `/v1/knowledge/${account.knowledge_id}/search`;
    const { outcome } = await insist(account, operation, { method: 'POST', path, body: { query: word, limit: 5 } });
    if (outcome === 'ok' && due === 'found') firsts.note('passages found', document_id);
  }

  async function remove(account: Account, document_id: string): Promise<boolean> {
    const path = `/v1/knowledge/${account.knowledge_id}/documents/${document_id}`;
    const { outcome, status } = await insist(
      account,
      { op: 'delete document', document_id },
      { method: 'DELETE', path },
    );
    if (outcome === 'ok') firsts.note('documents deleted', document_id);
    return outcome === 'ok' || status === 404;
  }

  async function see(account: Account, document: DocumentView, stays: boolean): Promise<void> {
    const { document_id } = document;
    // Some go while they are being indexed.
    if (!stays && random.chance(0.3)) {
      await sleep(random.between(0, 3_000));
      if (await remove(account, document_id)) await search(account, document, 'gone');
      return;
    }
    const done = await untilDone(account, document_id);
    if (done?.status !== 'indexed') return;
    firsts.note('documents indexed', document_id);
    await search(account, document, 'found');
    if (stays || !(firsts.isDue('documents deleted') || random.chance(0.4))) return;
    if (await remove(account, document_id)) await search(account, document, 'gone');
  }

  /** Two documents at once; the first one stays. */
  return async function shelve(account: Account, name: string): Promise<void> {
    const documents = await add(
      account,
      [1, 2].map((n) => `${name}d${n}.txt`),
    );
    await Promise.all(documents.map((document, index) => see(account, document, index === 0)));
  };
}

/** One batch for the model, or some; none of its passages is one of another document. */
function textOf(name: string, random: Random): string {
  const passages = Math.floor(random.between(10, 160));
  const marked = Math.floor(random.between(0, passages));
  return Array.from({ length: passages }, (_, index) => {
    const item = `Item ${index} of ${name} is number ${index}. `.repeat(28);
    return index === marked ? `${wordOf(name)} ${item}` : item;
  }).join('\n\n');
}
