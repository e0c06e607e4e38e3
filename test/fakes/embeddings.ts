import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hashVector } from '../../src/knowledge/hash-embedder.ts';

/** One call of an embedding model. */
export type EmbeddingCall = {
  vendor: 'openai' | 'gemini' | 'ollama';
  model: string;
  texts: string[];
  headers: IncomingHttpHeaders;
  body: Record<string, any>;
};

/** What is answered in place of vectors: raw HTTP, nothing at all, or vectors of this many numbers. */
export type EmbeddingReply =
  { status: number; body?: unknown; headers?: Record<string, string> } | { hang: true } | { size: number };

export type FakeEmbeddings = Awaited<ReturnType<typeof startFakeEmbeddings>>;

/** The embedding models of three vendors, at their wires: a real HTTP server whose vectors are those of hashed words. */
export async function startFakeEmbeddings() {
  const calls: EmbeddingCall[] = [];
  let reply: (call: EmbeddingCall) => EmbeddingReply | undefined | Promise<EmbeddingReply | undefined> = () =>
    undefined;

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on(
      'end',
      () => void answer(request.url ?? '', request.headers, Buffer.concat(chunks).toString(), response),
    );
  });

  async function answer(path: string, headers: IncomingHttpHeaders, text: string, response: ServerResponse) {
    const body = JSON.parse(text) as Record<string, any>;
    const call = decode(path, headers, body);
    if (!call) return void response.writeHead(404).end('{}');
    calls.push(call);
    const replied = await reply(call);
    if (replied && 'hang' in replied) return;
    if (replied && 'status' in replied) {
      const said = JSON.stringify(replied.body ?? { error: { message: `HTTP ${replied.status}` } });
      return void response
        .writeHead(replied.status, { 'content-type': 'application/json', ...replied.headers })
        .end(said);
    }
    const size = replied?.size ?? body.dimensions ?? body.requests?.[0]?.outputDimensionality;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(encode(call, size)));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const paths = { openai: '/openai/v1', gemini: '/gemini', ollama: '/ollama' };
  return {
    calls,
    baseUrl: (vendor: EmbeddingCall['vendor']) => `http://127.0.0.1:${port}${paths[vendor]}`,
    /** Answers from now on as this says; undefined is vectors. */
    on(next: typeof reply) {
      reply = next;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function decode(path: string, headers: IncomingHttpHeaders, body: Record<string, any>): EmbeddingCall | undefined {
  const shared = { headers, body };
  if (path === '/openai/v1/embeddings') return { vendor: 'openai', model: body.model, texts: body.input, ...shared };
  if (path === '/ollama/api/embed') return { vendor: 'ollama', model: body.model, texts: body.input, ...shared };
  const gemini = /^\/gemini\/v1beta\/models\/([^/]+):batchEmbedContents$/.exec(path);
  if (!gemini) return undefined;
  const texts = body.requests.map((one: any) => one.content.parts[0].text);
  return { vendor: 'gemini', model: gemini[1]!, texts, ...shared };
}

function encode({ vendor, model, texts }: EmbeddingCall, size: number | undefined): object {
  const vectors = texts.map((text) => [...hashVector(text)].slice(0, size));
  if (vendor === 'openai') {
    const data = vectors.map((embedding, index) => ({ object: 'embedding', index, embedding }));
    return { object: 'list', model, data: data.toReversed(), usage: { prompt_tokens: 7, total_tokens: 7 } };
  }
  if (vendor === 'gemini') return { embeddings: vectors.map((values) => ({ values })) };
  return { model, embeddings: vectors, prompt_eval_count: 9 };
}
