import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';

/** What a payload of a history says, decrypted where it is encrypted; undefined when there is none. */
export async function readPayload<T>(client: Client, payload: Payload | null | undefined): Promise<T | undefined> {
  let payloads = payload ? [payload] : [];
  for (const codec of client.options.loadedDataConverter.payloadCodecs.toReversed()) {
    payloads = await codec.decode(payloads);
  }
  return payloads[0] && defaultPayloadConverter.fromPayload<T>(payloads[0]);
}
