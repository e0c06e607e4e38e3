import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

function toBase62(bytes: Uint8Array, length: number): string {
  let number = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (; number > 0n; number /= 62n) text = base62[Number(number % 62n)] + text;
  return text.padStart(length, '0');
}

function checksum(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return toBase62(bytes, 6);
}

/** How keys begin: those of tests, live ones that were made over `/v1` or over `/api-keys` and for agents, and all others. */
export type KeyPrefix = 'os_test_' | 'os_live_' | 'sk_' | 'orch_';

/** What OAuth clients have: access tokens, refresh tokens, codes, and their own secrets. */
type ClientPrefix = 'os_oat_' | 'os_ort_' | 'os_oac_' | 'os_cs_';

/** A new API key or the like: its prefix, 256 random bits in base 62 (43 characters), and a CRC-32 of both (6 characters). */
export function newKey(prefix: KeyPrefix | ClientPrefix): string {
  const body = `${prefix}${toBase62(randomBytes(32), 43)}`;
  return body + checksum(body);
}

/** True when the text has the form and checksum of an API key, or of an access token: typing errors are refused without a look-up. */
export function isWellFormedKey(text: string): boolean {
  return (
    /^(orch|os_live|os_test|os_oat|sk)_[0-9A-Za-z]{49}$/.test(text) && checksum(text.slice(0, -6)) === text.slice(-6)
  );
}

/** The beginning of a key, by which people know it again: four characters of it behind its prefix. */
export function apiKeyPrefix(api_key: string): string {
  return api_key.slice(0, api_key.lastIndexOf('_') + 5);
}

/** A new secret for webhooks, in the form of Standard Webhooks: 256 random bits. */
export function newWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/** SHA-256 in hex. Enough for API keys: they carry 256 random bits. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Whether two secrets are the same. How long it takes tells nothing of them. */
export function isSameSecret(given: string, secret: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}

/** AES-256 keys of 32 bytes: the first encrypts, all decrypt. */
export type KeyRing = Buffer[];

/** 32 bytes for another purpose, made of a key of the ring, which they do not tell (HKDF, RFC 5869). */
export function deriveKey(key: Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, '', `orchflow:${purpose}`, 32));
}

/** Names a key inside the blobs that it encrypted, without revealing it. */
function keyId(key: Buffer): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}

/** The names of keys, in their order. */
export function keyIds(keys: KeyRing): string[] {
  return keys.map(keyId);
}

const ivBytes = 12;
const tagBytes = 16;

/**
 * AES-256-GCM: `sealed` is iv, ciphertext and tag. `context` is authenticated (AAD): what is copied to another place
 * does not open.
 */
export function encryptBytes(
  plaintext: Uint8Array,
  [key]: KeyRing,
  context: string,
): { key_id: string; sealed: Buffer } {
  if (!key) throw new Error('There is no key to encrypt with.');
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(context));
  const sealed = Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  return { key_id: keyId(key), sealed };
}

/** A blob was made with none of the keys at hand: another process may have it. */
export class OtherKeyError extends Error {}

/** Opens what `encryptBytes` sealed. Throws when the key (`OtherKeyError`), the context or any bit differs. */
export function decryptBytes(sealed: Buffer, key_id: string, keys: KeyRing, context: string): Buffer {
  const key = keys.find((candidate) => keyId(candidate) === key_id);
  if (!key) throw new OtherKeyError(`encrypted with another ENCRYPTION_KEY (${key_id})`);
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, ivBytes), { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  return Buffer.concat([decipher.update(sealed.subarray(ivBytes, -tagBytes)), decipher.final()]);
}

/** A text, encrypted: `v1.<key id>.<iv>.<ciphertext>.<tag>`, binary parts in base64url. */
export function encrypt(plaintext: string, keys: KeyRing, context: string): string {
  const { key_id, sealed } = encryptBytes(Buffer.from(plaintext), keys, context);
  const parts = [sealed.subarray(0, ivBytes), sealed.subarray(ivBytes, -tagBytes), sealed.subarray(-tagBytes)];
  return ['v1', key_id, ...parts.map((part) => part.toString('base64url'))].join('.');
}

/** True when the blob was made with one of these keys. */
export function isEncryptedWith(blob: string, keys: KeyRing): boolean {
  return keyIds(keys).includes(blob.split('.')[1]!);
}

/** True when the blob was made with another key than the one that encrypts now. */
export function isOutdated(blob: string, [key]: KeyRing): boolean {
  return key !== undefined && !isEncryptedWith(blob, [key]);
}

/** Opens a blob of `encrypt`. Throws when the key (`OtherKeyError`), the context or any bit differs. */
export function decrypt(blob: string, keys: KeyRing, context: string): string {
  const [version, key_id = '', ...parts] = blob.split('.');
  if (version !== 'v1' || parts.length !== 3) throw new Error('not an encrypted value');
  const sealed = Buffer.concat(parts.map((part) => Buffer.from(part, 'base64url')));
  return decryptBytes(sealed, key_id, keys, context).toString('utf8');
}

/** The `context` of a provider's API key. */
export function providerKeyContext(account_id: string, provider_id: string): string {
  return `orchflow:provider:${account_id}:${provider_id}:api_key`;
}

/** The `context` of what an MCP server is told beside its calls. */
export function mcpServerContext(account_id: string, name: string): string {
  return `orchflow:mcp_server:${account_id}:${name}:secrets`;
}

/** The `context` of the secret that signs what is sent to a subscription. */
export function subscriptionSecretContext(account_id: string, subscription_id: string): string {
  return `orchflow:webhook_subscription:${account_id}:${subscription_id}:secret`;
}

/** The `context` of the secret that signs an account's webhooks. */
export function webhookSecretContext(account_id: string): string {
  return `orchflow:account:${account_id}:webhook_secret`;
}
