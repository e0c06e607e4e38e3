import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Vendor } from '../../db/schema.ts';
import { deriveKey, type KeyRing } from '../crypto.ts';
import { InvalidInputError } from '../errors.ts';
import { line, url } from '../fields.ts';

/** What a call brings along to ask models with. It is used for the run of this call, and for no other. */
export type LlmCredentials = { api_key?: string; provider?: Vendor; model?: string; base_url?: string };

const member = 'llm_credentials';

const vendors = ['openai', 'anthropic', 'gemini', 'ollama'] as const;

const schema = z.object({
  api_key: line(1_000).nullish(),
  provider: z.enum(vendors).nullish(),
  model: line(200).nullish(),
  base_url: url().nullish(),
});

/**
 * Takes the credentials out of what a call was sent with, before anybody looks at the rest. Throws `InvalidInputError` for what are
 * none, with no word of their values.
 */
export function takeCredentials(sent: Record<string, unknown>): {
  rest: Record<string, unknown>;
  credentials?: LlmCredentials;
} {
  const { [member]: given, ...rest } = sent;
  if (given === undefined || given === null) return { rest };
  const read = schema.safeParse(given);
  if (!read.success) {
    const detail = `may have api_key, provider (${vendors.join(', ')}), model and base_url, each a text`;
    throw new InvalidInputError(read.error.issues.map(({ path }) => ({ path: [member, ...path], detail })));
  }
  const said = Object.entries(read.data).filter(([, value]) => value !== null && value !== undefined);
  return said.length > 0 ? { rest, credentials: withAddress(Object.fromEntries(said)) } : { rest };
}

/** Ollama takes no keys: clients send its address (`OLLAMA_HOST`) in the place of one. */
function withAddress(credentials: LlmCredentials): LlmCredentials {
  const { api_key, ...given } = credentials;
  const isAddress = given.provider === 'ollama' && given.base_url === undefined && url().safeParse(api_key).success;
  return isAddress ? { ...given, base_url: api_key! } : credentials;
}

/** The same of the same credentials. It tells nothing of them to who has no key of the ring. */
export function tokenOf([key]: KeyRing, credentials: LlmCredentials): string {
  const { api_key, provider, model, base_url } = credentials;
  const said = [api_key, provider, model, base_url];
  return createHmac('sha256', deriveKey(key!, 'call credentials')).update(JSON.stringify(said)).digest('base64url');
}
