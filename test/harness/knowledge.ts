import assert from 'node:assert/strict';
import type { DocumentView } from '../../db/documents.ts';
import { until, type Answer, type User } from './client.ts';
import { send } from './raw.ts';

/** A client of knowledge bases. */

export type TestFile = { content: string | Uint8Array<ArrayBuffer>; name?: string; type?: string };

export type KnowledgeClient = ReturnType<typeof knowledgeOf>;

export function knowledgeOf(url: string, { api_key }: Pick<User, 'api_key'>) {
  const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    send(
      url,
      method,
      `/v1/knowledge${path}`,
      { 'x-api-key': api_key, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      body === undefined ? undefined : JSON.stringify(body),
    );

  return {
    call,
    async create(more: object = {}): Promise<string> {
      const { status, body } = await call('POST', '', { name: 'Handbook', ...more });
      assert.equal(status, 201, JSON.stringify(body));
      return body.knowledge_id;
    },
    upload(
      knowledge_id: string,
      files: TestFile[],
      headers: Record<string, string> = {},
      field = 'files',
    ): Promise<Answer> {
      const form = new FormData();
      for (const { content, name = 'notes.txt', type = 'text/plain' } of files) {
        form.append(field, new File([content], name, { type }));
      }
      return send(url, 'POST', `/v1/knowledge/${knowledge_id}/upload`, { 'x-api-key': api_key, ...headers }, form);
    },
    /** Adds documents, and waits until each is indexed or has failed. */
    async index(knowledge_id: string, ...files: TestFile[]): Promise<DocumentView[]> {
      const { status, body } = await this.upload(knowledge_id, files);
      assert.equal(status, 201, JSON.stringify(body));
      return Promise.all(body.documents.map((one: DocumentView) => this.untilDone(knowledge_id, one.document_id)));
    },
    /** The document, as soon as it is indexed or has failed. */
    async untilDone(knowledge_id: string, document_id: string, deadline_ms?: number): Promise<DocumentView> {
      let document!: DocumentView;
      await until(
        async () => {
          document = (await call('GET', `/${knowledge_id}/documents/${document_id}`)).body;
          return document.status === 'indexed' || document.status === 'failed';
        },
        () => `The document is done, but: ${JSON.stringify(document)}`,
        deadline_ms,
      );
      return document;
    },
    async search(knowledge_id: string, query: string, more: object = {}) {
      const { status, body } = await call('POST', `/${knowledge_id}/search`, { query, ...more });
      assert.equal(status, 200, JSON.stringify(body));
      return body as { results: Record<string, any>[]; warnings: string[] };
    },
  };
}
