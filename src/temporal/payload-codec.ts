import type { Payload, PayloadCodec } from '@temporalio/common';
import protos from '@temporalio/proto';
import { decryptBytes, encryptBytes, type KeyRing } from '../crypto.ts';

const proto = protos.temporal.api.common.v1.Payload;
const encoding = Buffer.from('binary/encrypted');
const keyIdField = 'encryption-key-id';
const context = 'orchflow:temporal:payload';

/**
 * Encrypts what goes into Temporal: AES-256-GCM over the whole payload, the key's id in its metadata. What is encrypted
 * is read whether `encrypts` is set or not, and what is not encrypted stays as it is: runs go on over a change.
 */
export function createPayloadCodec(keys: KeyRing, { encrypts }: { encrypts: boolean }): PayloadCodec {
  function encrypt(payload: Payload): Payload {
    const { key_id, sealed } = encryptBytes(proto.encode(payload).finish(), keys, context);
    return { metadata: { encoding, [keyIdField]: Buffer.from(key_id) }, data: sealed };
  }

  function decrypt(payload: Payload): Payload {
    const { metadata, data } = payload;
    if (!metadata?.encoding || !data || !encoding.equals(metadata.encoding)) return payload;
    const key_id = Buffer.from(metadata[keyIdField] ?? []).toString();
    return proto.decode(decryptBytes(Buffer.from(data), key_id, keys, context));
  }

  return {
    encode: async (payloads) => (encrypts ? payloads.map(encrypt) : payloads),
    decode: async (payloads) => payloads.map(decrypt),
  };
}
