import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { loadConfig, loadLauncherConfig } from '../config.ts';

type Environment = Record<string, string | undefined>;
type LauncherConfig = ReturnType<typeof loadLauncherConfig>;
type Config = ReturnType<typeof loadConfig>;

const localOllama = 'http://127.0.0.1:11434';
const ollamaDeadlineMs = 500;

/** What worker and api get besides where Postgres and Temporal are: the defaults of one person's machine. */
export async function makeEnvironment(launcher: LauncherConfig, dataDir: string): Promise<Environment> {
  const { inherited, HOST, PORT, ORCHFLOW_MODE, ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER } = launcher;
  return {
    ...inherited,
    ...(await findOllama(launcher)),
    HOST,
    PORT: String(PORT),
    ENCRYPTION_KEY: launcher.ENCRYPTION_KEY ?? keepEncryptionKey(join(dataDir, 'encryption-key')),
    FILES_DIR: launcher.FILES_DIR ?? join(dataDir, 'files'),
    ORCHFLOW_EMBEDDED: 'true',
    ORCHFLOW_MODE: ORCHFLOW_MODE ?? 'self_hosted',
    ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER ?? 'true',
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: launcher.ORCHFLOW_ALLOWED_PRIVATE_CIDRS ?? (isForOne(launcher) ? thisMachine : ''),
  };
}

const thisMachine = '127.0.0.0/8,::1/128';

/** Nobody else can ask: so webhook receivers and model servers on this machine may be named. */
function isForOne({ HOST, ORCHFLOW_MODE }: LauncherConfig): boolean {
  return ORCHFLOW_MODE !== 'hosted' && /^(localhost|127(\.\d+){3}|::1)$/.test(HOST);
}

/** Our own Temporal needs none of the settings that a person's shell has for another one, and would fail by them. */
export function withOwnTemporal(environment: Environment, address: string, uiUrl?: string): Environment {
  const foreign = Object.keys(environment).filter((name) => /^TEMPORAL_(?!TASK_QUEUE$)/.test(name));
  return {
    ...environment,
    ...Object.fromEntries(foreign.map((name) => [name, undefined])),
    TEMPORAL_ADDRESS: address,
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_UI_URL: uiUrl,
    CODEC_ORIGINS: environment.CODEC_ORIGINS || uiUrl,
    TEMPORAL_CONFIG_FILE: '/nonexistent', // else ~/.config/temporalio is read
  };
}

/**
 * Written whole before it gets its name: half a key would lock every secret out.
 * @throws when there are data already, whose key was there once.
 */
function keepEncryptionKey(file: string): string {
  if (!existsSync(file) && existsSync(join(dirname(file), 'postgres', 'data'))) {
    throw new Error(
      `${file} is gone, and with it the key of the secrets in this directory. Put it back, or set ENCRYPTION_KEY to what ` +
        'stood in it. If it is lost, see "Changing the encryption key" in docs/deploy.md.',
    );
  }
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft);
  }
  return readFileSync(file, 'utf8').trim();
}

/** The settings for an Ollama on this machine that has a model, when no other model is configured. */
async function findOllama(launcher: LauncherConfig): Promise<Environment> {
  const { GEMINI_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY, OLLAMA_BASE_URL, OLLAMA_MODEL } = launcher;
  if (GEMINI_API_KEY ?? OPENAI_API_KEY ?? ANTHROPIC_API_KEY ?? OLLAMA_BASE_URL) return {};
  try {
    const response = await fetch(`${localOllama}/api/tags`, { signal: AbortSignal.timeout(ollamaDeadlineMs) });
    const { models } = (await response.json()) as { models: { name: string }[] };
    const names = models.map(({ name }) => name.replace(/:latest$/, ''));
    const model = OLLAMA_MODEL ?? (names.includes('llama3') ? 'llama3' : names[0]);
    return model ? { OLLAMA_BASE_URL: localOllama, OLLAMA_MODEL: model } : {};
  } catch {
    return {};
  }
}

/** At which private addresses the webhooks, providers and MCP servers of accounts may be. */
export function describeReach({ ORCHFLOW_ALLOWED_PRIVATE_CIDRS: cidrs }: Config): string {
  if (cidrs.length === 0) return 'none private (ORCHFLOW_ALLOWED_PRIVATE_CIDRS allows some)';
  return cidrs.join() === thisMachine ? 'also on this machine' : `also ${cidrs.join(', ')}`;
}

/** Which model answers runs that name no provider. */
export function describeModel(config: Config): string {
  if (config.GEMINI_API_KEY) return `gemini, ${config.GEMINI_MODEL}`;
  if (config.OPENAI_API_KEY) return `openai, ${config.OPENAI_MODEL}`;
  if (config.ANTHROPIC_API_KEY) return `anthropic, ${config.ANTHROPIC_MODEL}`;
  if (config.OLLAMA_BASE_URL) return `ollama, ${config.OLLAMA_MODEL} at ${config.OLLAMA_BASE_URL}`;
  return 'demo (offline; set GEMINI_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY or OLLAMA_BASE_URL for real answers)';
}
