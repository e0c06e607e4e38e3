import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, isGrpcServiceError } from '@temporalio/client';
import type { DataConverter } from '@temporalio/common';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { Config } from '../config.ts';
import { retentionSeconds, searchAttributes } from './namespace.ts';
import { createPayloadCodec } from './payload-codec.ts';

type Settings = Pick<Config, 'temporalEnvironment' | 'TEMPORAL_NAMESPACE' | 'ORCHFLOW_EMBEDDED'>;

/** How to reach Temporal, for clients and workers, by the standard `TEMPORAL_*` settings. */
export function connectionOptions({ temporalEnvironment, ORCHFLOW_EMBEDDED }: Settings) {
  // The embedded server is ours: a profile that the user keeps for another one must not apply to it.
  return loadClientConnectConfig({ disableFile: ORCHFLOW_EMBEDDED, overrideEnvVars: temporalEnvironment })
    .connectionOptions;
}

type EncryptionSettings = Pick<Config, 'ENCRYPTION_KEY' | 'PAYLOAD_ENCRYPTION'>;

/** How clients, workers and replays write and read what Temporal keeps. */
export function dataConverter({ ENCRYPTION_KEY, PAYLOAD_ENCRYPTION: encrypts }: EncryptionSettings): DataConverter {
  const failureConverterPath = path.join(import.meta.dirname, '../../workflows/failure-converter.ts');
  return {
    payloadCodecs: [createPayloadCodec(ENCRYPTION_KEY, { encrypts })],
    ...(encrypts && { failureConverterPath }),
  };
}

/** A page of the history of a run whose state has many keys takes more than the 4 MiB that gRPC takes unless told. */
const channelArgs = { 'grpc.max_receive_message_length': 64 * 1_024 * 1_024 };

/** A client that connects at its first call, so that a process can start while Temporal is down. */
export function createTemporalClient(config: Settings & EncryptionSettings): Client {
  const connection = Connection.lazy({ ...connectionOptions(config), channelArgs });
  return new Client({ connection, namespace: config.TEMPORAL_NAMESPACE, dataConverter: dataConverter(config) });
}

// temporal.api.enums.v1.IndexedValueType
const indexedValueType = { Keyword: 2, KeywordList: 7 };

type Services = Pick<Connection, 'workflowService' | 'operatorService'>;

/** Creates the search attributes that the namespace lacks, and returns their names. A start fails without them. */
export async function ensureSearchAttributes({ operatorService }: Services, namespace: string): Promise<string[]> {
  const known = await operatorService.listSearchAttributes({ namespace });
  const missing = Object.entries(searchAttributes).filter(([name]) => !(name in known.customAttributes));
  if (missing.length > 0) {
    const added = Object.fromEntries(missing.map(([name, type]) => [name, indexedValueType[type]]));
    await operatorService.addSearchAttributes({ namespace, searchAttributes: added });
  }
  return missing.map(([name]) => name);
}

/** A server takes some seconds to know a namespace or a search attribute that was just made. */
const settleDeadlineMs = 60_000;

/**
 * Makes a namespace ready for runs: creates it and the search attributes where they are missing, and resolves once the
 * server knows both. Returns what it has created.
 */
export async function prepareNamespace(services: Services, namespace: string): Promise<string[]> {
  const created: string[] = [];
  if (await createNamespace(services, namespace)) created.push(`namespace ${namespace}`);
  for (const deadline = Date.now() + settleDeadlineMs; ; await sleep(500)) {
    try {
      const added = await ensureSearchAttributes(services, namespace);
      created.push(...added.map((name) => `search attribute ${name}`));
      if (added.length === 0) return created;
    } catch (error) {
      if (!hasCode(error, grpcNotFound) || Date.now() > deadline) throw error;
    }
  }
}

async function createNamespace({ workflowService }: Services, namespace: string): Promise<boolean> {
  try {
    await workflowService.describeNamespace({ namespace });
    return false;
  } catch (error) {
    if (!hasCode(error, grpcNotFound)) throw error;
  }
  const workflowExecutionRetentionPeriod = { seconds: retentionSeconds as unknown as Long };
  try {
    await workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
    return true;
  } catch (error) {
    if (!hasCode(error, grpcAlreadyExists)) throw error;
    return false;
  }
}

const grpcNotFound = 5;
const grpcAlreadyExists = 6;

/** Whether an error is what gRPC says with this code (https://grpc.io/docs/guides/status-codes/). */
export function hasCode(error: unknown, code: number): boolean {
  return isGrpcServiceError(error) && error.code === code;
}
