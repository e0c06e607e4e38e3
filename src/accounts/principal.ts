import type { ApiKey } from '../../db/schema.ts';

/**
 * Who asks: the account that a key belongs to, the key, what it may do, and the person whose key it is. `person_id` is
 * null for a key of the account itself.
 */
export type Principal = Pick<ApiKey, 'account_id' | 'key_id' | 'scopes' | 'person_id'>;
