/** The vendors that have embedding models, and which is asked unless another is named. */
export const DEFAULT_EMBEDDING_MODELS = {
  openai: 'text-embedding-3-small',
  gemini: 'gemini-embedding-001',
  ollama: 'nomic-embed-text',
} as const;

export type EmbeddingVendor = keyof typeof DEFAULT_EMBEDDING_MODELS;

export function hasEmbeddings(vendor: string): vendor is EmbeddingVendor {
  return Object.hasOwn(DEFAULT_EMBEDDING_MODELS, vendor);
}

/** What is embedded: passages that are searched, or what is searched for; some models tell the two apart. */
export type EmbeddingRequest = {
  texts: string[];
  role: 'passage' | 'query';
  /** Null: as many as the model has. Ollama has no others. */
  dimensions: number | null;
};
