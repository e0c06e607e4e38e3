import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import type { Config } from './config.ts';

type Settings = Pick<Config, 'temporalEnvironment' | 'TEMPORAL_NAMESPACE' | 'ORCHFLOW_EMBEDDED'>;

function connectionOptions({ temporalEnvironment, ORCHFLOW_EMBEDDED }: Settings) {
  // The embedded server is ours: a profile that the user keeps for another one must not apply to it.
  return loadClientConnectConfig({ disableFile: ORCHFLOW_EMBEDDED, overrideEnvVars: temporalEnvironment })
    .connectionOptions;
}

/** A client that connects at its first call, so that a process can start while Temporal is down. */
export function createTemporalClient(config: Settings): Client {
  const connection = Connection.lazy(connectionOptions(config));
  return new Client({ connection, namespace: config.TEMPORAL_NAMESPACE });
}

/** The worker's connection. Throws when Temporal cannot be reached. */
export function connectWorker(config: Settings): Promise<NativeConnection> {
  return NativeConnection.connect(connectionOptions(config));
}

// temporal.api.enums.v1.IndexedValueType
const keyword = 2;
const keywordList = 7;

/** The search attributes that runs carry; `OrchflowAccount` is an id and no personal data: they are never encrypted. */
const searchAttributes = { OrchflowAccount: keyword, OrchflowStatus: keyword, OrchflowWaitingTasks: keywordList };

/** Creates the search attributes that the namespace lacks. A start fails without them. */
export async function ensureSearchAttributes(client: Client): Promise<void> {
  const { namespace } = client.options;
  const { operatorService } = client.connection as Connection;
  const known = await operatorService.listSearchAttributes({ namespace });
  const missing = Object.entries(searchAttributes).filter(([name]) => !(name in known.customAttributes));
  if (missing.length === 0) return;
  await operatorService.addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(missing) });
}
