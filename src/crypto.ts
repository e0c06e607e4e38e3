import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
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

/** A new API key: `orch_`, 256 random bits in base 62 (43 characters), and a CRC-32 of both (6 characters). */
export function newApiKey(): string {
  const body = `orch_${toBase62(randomBytes(32), 43)}`;
  return body + checksum(body);
}

/** True when the text has the form and checksum of an API key: typing errors are refused without a look-up. */
export function isWellFormedApiKey(text: string): boolean {
  return /^orch_[0-9A-Za-z]{49}$/.test(text) && checksum(text.slice(0, -6)) === text.slice(-6);
}

/** SHA-256 in hex. Enough for API keys: they carry 256 random bits. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** AES-256 keys of 32 bytes: the first encrypts, all decrypt. */
export type KeyRing = Buffer[];

/** Names a key inside the blobs that it encrypted, without revealing it. */
function keyId(key: Buffer): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}

/**
 * AES-256-GCM: `v1.<key id>.<iv>.<ciphertext>.<tag>`, binary parts in base64url.
 * `context` is authenticated (AAD): a blob copied to another row does not decrypt.
 */
export function encrypt(plaintext: string, [key]: KeyRing, context: string): string {
  if (!key) throw new Error('There is no key to encrypt with.');
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
  cipher.setAAD(Buffer.from(context));
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  const parts = [iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString('base64url'));
  return ['v1', keyId(key), ...parts].join('.');
}

/** True when the blob was made with another key than the one that encrypts now. */
export function isOutdated(blob: string, [key]: KeyRing): boolean {
  return key !== undefined && blob.split('.')[1] !== keyId(key);
}

/** A blob was made with none of the keys at hand: another process may have it. */
export class OtherKeyError extends Error {}

/** Opens a blob of `encrypt`. Throws when the key (`OtherKeyError`), the context or any bit differs. */
export function decrypt(blob: string, keys: KeyRing, context: string): string {
  const [version, id, ...parts] = blob.split('.');
  if (version !== 'v1' || parts.length !== 3) throw new Error('not an encrypted value');
  const key = keys.find((candidate) => keyId(candidate) === id);
  if (!key) throw new OtherKeyError(`encrypted with another ENCRYPTION_KEY (${id})`);
  const [iv, ciphertext, tag] = parts.map((part) => Buffer.from(part, 'base64url')) as [Buffer, Buffer, Buffer];
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString('utf8');
}

/** The `context` of a provider's API key. */
export function providerKeyContext(account_id: string, provider_id: string): string {
  return `orchflow:provider:${account_id}:${provider_id}:api_key`;
}

/** The `context` of the secret that signs an account's webhooks. */
export function webhookSecretContext(account_id: string): string {
  return `orchflow:account:${account_id}:webhook_secret`;
}
