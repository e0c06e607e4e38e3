import { readFileSync } from 'node:fs';
import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** The only reader of `process.env`. Every variable is described in `.env.example`. */

const flag = z.stringbool();
const seconds = z.coerce.number().positive();
const whole = (least: number, most = 2 ** 31 - 1) => z.coerce.number().int().min(least).max(most);
const count = whole(1);
/** Below it, they cannot even start. */
const heap = whole(128, 1024 * 1024);
const usd = z.coerce.number().min(0);
const csv = z.string().transform((text) => text.split(',').flatMap((part) => part.trim() || []));
/** `none` for those who mean it: an empty value is one that is not set. */
const cidrs = csv
  .transform((list) => (list.join() === 'none' ? [] : list))
  .refine((list) => list.every(ipaddr.isValidCIDR), 'must be CIDRs such as 10.0.0.0/8,::1/128');
const isOrigin = (text: string) => text === '*' || (URL.canParse(text) && new URL(text).origin === text);
const isWebOrigin = (text: string) => /^https?:/.test(text) && isOrigin(text);
const origins = csv.refine(
  (list) => list.every(isOrigin),
  'must be origins such as https://app.example.com,http://localhost:5173 (no path, no slash at the end), or *',
);
const keyRing = csv
  .transform((keys) => keys.map((key) => Buffer.from(key, 'base64')))
  .refine(
    (keys) => keys.length > 0 && keys.every((key) => key.length === 32),
    'must be the base64 of 32 bytes, or several with commas between; make one with: openssl rand -base64 32',
  );

const environment = z.object({
  HOST: z.string().default('0.0.0.0'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8000),
  PUBLIC_URL: z
    .url()
    .refine(isWebOrigin, 'must be an origin such as https://orchflow.example.com (no path, no slash at the end)')
    .optional(),
  HTTP_HEADERS_TIMEOUT_SECONDS: seconds.default(10),
  HTTP_REQUEST_TIMEOUT_SECONDS: seconds.default(30),
  HTTP_KEEP_ALIVE_SECONDS: seconds.default(65),
  HTTP_SEND_TIMEOUT_SECONDS: seconds.default(120),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  API_HEAP_MB: heap.optional(),
  WORKER_HEAP_MB: heap.optional(),
  WORKER_CACHED_RUNS: z.coerce.number().int().min(2).max(100_000).default(250),
  WORKFLOW_STACKS: flag.default(false),

  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' }),
  DATABASE_PASSWORD_FILE: z.string().optional(),
  DATABASE_POOL_SIZE: z.coerce.number().int().positive().default(10),

  TEMPORAL_ADDRESS: z.string().default('localhost:7233'),
  TEMPORAL_NAMESPACE: z.string().default('default'),
  TEMPORAL_TASK_QUEUE: z.string().default('orchflow'),
  TEMPORAL_UI_URL: z.url().optional(),

  ENCRYPTION_KEY: keyRing,
  PAYLOAD_ENCRYPTION: flag.default(false),
  CODEC_TOKEN: z.string().min(16, 'must have at least 16 characters').optional(),
  CODEC_ORIGINS: csv.default([]),

  ORCHFLOW_MODE: z.enum(['hosted', 'self_hosted']).default('self_hosted'),
  MANAGED_TRIAL_RUNS_ENABLED: flag.optional(),
  MANAGED_TRIAL_RUNS_COUNT: z.coerce.number().int().min(0).optional(),
  ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: flag.optional(),
  MANAGED_MODELS: csv.optional(),
  MANAGED_MAX_COST_USD_PER_RUN: usd.optional(),
  MANAGED_MAX_COST_USD_PER_ACCOUNT: usd.optional(),
  MANAGED_MAX_COST_USD: usd.optional(),
  MONTHLY_RUN_LIMIT: z.coerce.number().int().min(0).optional(),

  GEMINI_API_KEY: z.string().min(1).optional(),
  GEMINI_MODEL: z.string().default('gemini-2.0-flash-lite'),
  OPENAI_API_KEY: z.string().min(1).optional(),
  OPENAI_BASE_URL: z.url().optional(),
  OPENAI_MODEL: z.string().default('gpt-4o-mini'),
  ANTHROPIC_API_KEY: z.string().min(1).optional(),
  ANTHROPIC_MODEL: z.string().default('claude-3-5-haiku-20241022'),
  OLLAMA_BASE_URL: z.url().optional(),
  OLLAMA_MODEL: z.string().default('llama3'),
  // Below the startToCloseTimeout of the activity that makes the call.
  LLM_TIMEOUT_SECONDS: seconds.max(1_500).default(300),
  LLM_IDLE_TIMEOUT_SECONDS: seconds.default(60),
  WORKER_PLACES: count.default(200),

  ORCHFLOW_ALLOWED_PRIVATE_CIDRS: cidrs.default([]),
  HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: cidrs.default([]),
  SEARXNG_URL: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
  BRAVE_SEARCH_API_KEY: z.string().min(1).optional(),
  TAVILY_API_KEY: z.string().min(1).optional(),
  WEB_SEARCH_LIMIT_PER_DAY: z.coerce.number().int().min(0).optional(),
  MCP_STDIO_ENABLED: flag.default(false),

  RATE_LIMIT_PER_MINUTE: z.coerce.number().int().min(0).optional(),
  REGISTER_LIMIT_PER_HOUR: z.coerce.number().int().min(0).optional(),
  FAILED_KEYS_LIMIT_PER_MINUTE: z.coerce.number().int().min(0).default(60),
  OAUTH_LIMIT_PER_MINUTE: z.coerce.number().int().min(0).default(300),
  PUBLIC_LIMIT_PER_MINUTE: z.coerce.number().int().min(0).default(300),
  REGISTRATION: z.enum(['open', 'invite', 'closed']).default('open'),
  REGISTRATION_CODES: csv
    .refine((codes) => codes.every((code) => code.length >= 16), 'must have at least 16 characters each')
    .default([]),
  TRUSTED_PROXIES: cidrs.default([]),
  CORS_ORIGINS: origins.default([]),
  HSTS_SECONDS: z.coerce.number().int().min(0).default(0),
  REMIND_EVERY_MIN_SECONDS: seconds.default(60),
  REMINDER_LIMIT_PER_HOUR: z.coerce.number().int().min(0).optional(),
  MAX_OPEN_ANSWERS_PER_ACCOUNT: count.default(200),
  MAX_WORK_MB_PER_ACCOUNT: count.optional(),
  MAX_UNFINISHED_RUNS_PER_ACCOUNT: count.default(10_000),
  MAX_ACTIVE_RUNS_PER_ACCOUNT: count.optional(),
  MAX_PROVIDERS_PER_ACCOUNT: count.default(100),
  MAX_MCP_SERVERS_PER_ACCOUNT: count.default(50),
  MAX_ORCHESTRATIONS_PER_ACCOUNT: count.default(1_000),
  MAX_AGENTS_PER_ACCOUNT: count.default(100),
  MAX_KNOWLEDGE_BASES_PER_ACCOUNT: count.default(100),
  MAX_DOCUMENTS_PER_KNOWLEDGE_BASE: count.default(1_000),
  KNOWLEDGE_CACHE_MB: z.coerce.number().int().min(0).max(65_536).default(256),
  MAX_REDELIVERIES_PER_ACCOUNT: count.default(1_000),
  MAX_WEBHOOK_SUBSCRIPTIONS_PER_ACCOUNT: count.default(20),
  MAX_RUN_TEXT_BYTES: count.default(256 * 1024 * 1024),
  MAX_STATE_VALUE_CHARACTERS: z.coerce.number().int().min(1_000).default(1_048_576),
  RUN_HISTORY_LIMIT: whole(100, 10_000).default(4_000),
  RUN_RETENTION_DAYS: count.max(36_500).optional(),

  FILES_DIR: z.string().default('.orchflow/files'),
  FILES_S3_ENDPOINT: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
  FILES_S3_BUCKET: z.string().optional(),
  FILES_S3_REGION: z.string().default('us-east-1'),
  FILES_S3_ACCESS_KEY_ID: z.string().optional(),
  FILES_S3_SECRET_ACCESS_KEY: z.string().optional(),
  MAX_FILES_PER_ACCOUNT: count.default(10_000),
  MAX_FILE_BYTES_PER_ACCOUNT: whole(1, Infinity).default(1024 * 1024 * 1024),
  MAX_UPLOADS_PER_ACCOUNT: count.default(10),

  WORKER_TASKS: z.enum(['all', 'code', 'no_code']).default('all'),
  SANDBOX_DRIVER: z.enum(['auto', 'bubblewrap', 'deno', 'none']).default('auto'),
  SANDBOX_DIR: z.string().startsWith('/', 'must be an absolute path').optional(),
  SANDBOX_DENO: z.string().optional(),
  SANDBOX_CGROUP: z.string().startsWith('/sys/fs/cgroup/', 'must be a folder in /sys/fs/cgroup/').optional(),
  SANDBOX_HOSTS: csv.default([]),
  SANDBOX_GATEWAY_URL: z.url({ protocol: /^http$/, error: 'must be an http URL' }).optional(),
  SANDBOX_PLACES: count.default(4),
  SANDBOX_MAX_SECONDS: count.optional(),
  SANDBOX_MEMORY_MB: whole(64).default(512),
  SANDBOX_DISK_MB: count.default(128),
  SANDBOX_PROCESSES: whole(8).default(64),
  SANDBOX_OUTPUT_BYTES: whole(1_024).default(1_048_576),
  SANDBOX_CACHE_MB: count.default(2_048),

  ORCHFLOW_EMBEDDED: flag.default(false),
});

const launcherEnvironment = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(1).max(65_535).default(8000),
  ORCHFLOW_DATA_DIR: z.string().default('.orchflow'),
  FILES_DIR: z.string().optional(),
  DATABASE_URL: z.string().optional(),
  TEMPORAL_ADDRESS: z.string().optional(),
  ENCRYPTION_KEY: z.string().optional(),
  ORCHFLOW_SQLITE_SYNCHRONOUS: z.enum(['FULL', 'NORMAL']).default('FULL'),
  GEMINI_API_KEY: z.string().optional(),
  OPENAI_API_KEY: z.string().optional(),
  ANTHROPIC_API_KEY: z.string().optional(),
  OLLAMA_BASE_URL: z.string().optional(),
  OLLAMA_MODEL: z.string().optional(),
  ORCHFLOW_ALLOWED_PRIVATE_CIDRS: z.string().optional(),
  ORCHFLOW_MODE: z.string().optional(),
  ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: z.string().optional(),
});

const temporalBinaryEnvironment = z.object({
  ORCHFLOW_TEMPORAL_CLI: z.string().min(1).optional(),
  XDG_CACHE_HOME: z.string().min(1).optional(),
  PATH: z.string().default(''),
});

/** What a bucket needs. */
const bucketEnvironment = environment
  .pick({ FILES_S3_ENDPOINT: true, FILES_S3_BUCKET: true })
  .extend({ FILES_S3_ACCESS_KEY_ID: z.string(), FILES_S3_SECRET_ACCESS_KEY: z.string() })
  .required();

const migrateEnvironment = environment
  .pick({ DATABASE_URL: true, TEMPORAL_NAMESPACE: true, ORCHFLOW_EMBEDDED: true })
  .extend({ TEMPORAL_ADDRESS: z.string().optional(), ENCRYPTION_KEY: keyRing.optional() });

const reencryptEnvironment = environment.pick({ DATABASE_URL: true, ENCRYPTION_KEY: true });

const accountEnvironment = environment.pick({ DATABASE_URL: true });

/** The names of all variables that are read here. */
export const variables = new Set(
  [environment, launcherEnvironment, temporalBinaryEnvironment].flatMap(({ shape }) => Object.keys(shape)),
);

type Environment = Record<string, string | undefined>;

/** Compose and .env files write `KEY=` for "not set". */
function withoutEmpty(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}

/** As images of Docker take secrets. An address that has a password keeps it. */
function withPassword(env: Environment): Environment {
  const { DATABASE_URL: url, DATABASE_PASSWORD_FILE: file } = env;
  if (!file || !url || !URL.canParse(url) || new URL(url).password) return env;
  return { ...env, DATABASE_URL: Object.assign(new URL(url), { password: readFileSync(file, 'utf8').trim() }).href };
}

function parse<S extends z.ZodType>(schema: S, env: Environment): z.infer<S> {
  const result = schema.safeParse(withPassword(withoutEmpty(env)));
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) => {
    const name = path.join('.');
    return `  ${name}: ${env[name] ? message : 'is required'}`;
  });
  console.error(`Orchflow cannot start. Mend these settings (see .env.example):\n${faults.join('\n')}`);
  process.exit(1);
}

/** Settings of the api and worker processes. Lists every fault on stderr and exits with 1 when one is wrong. */
export function loadConfig(env: Environment = process.env) {
  const settings = parse(environment, env);
  const hosted = settings.ORCHFLOW_MODE === 'hosted';
  const bucket = settings.FILES_S3_BUCKET && parse(bucketEnvironment, env);
  return {
    ...settings,
    inherited: env,
    MANAGED_TRIAL_RUNS_ENABLED: settings.MANAGED_TRIAL_RUNS_ENABLED ?? hosted,
    MANAGED_TRIAL_RUNS_COUNT: settings.MANAGED_TRIAL_RUNS_COUNT ?? (hosted ? 3 : 0),
    ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: settings.ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER ?? hosted,
    /** Those that runs may name besides each vendor's default; null is all that a vendor has. */
    MANAGED_MODELS: settings.MANAGED_MODELS ?? (hosted ? [] : null),
    /** What a run may spend of the operator's models, and an account and all of them in a month (UTC); null is no limit. */
    MANAGED_MAX_COST_USD_PER_RUN: settings.MANAGED_MAX_COST_USD_PER_RUN ?? (hosted ? 1 : null),
    MANAGED_MAX_COST_USD_PER_ACCOUNT: settings.MANAGED_MAX_COST_USD_PER_ACCOUNT ?? (hosted ? 3 : null),
    MANAGED_MAX_COST_USD: settings.MANAGED_MAX_COST_USD ?? (hosted ? 100 : null),
    /** The longest that code of an agent may take, in seconds, whatever its agent says; null is no limit. */
    SANDBOX_MAX_SECONDS: settings.SANDBOX_MAX_SECONDS ?? (hosted ? 900 : null),
    /** Where the operator's own settings point to: callable for what they are set for, wherever it is. */
    ownOrigins: [settings.OPENAI_BASE_URL, settings.OLLAMA_BASE_URL, settings.SEARXNG_URL]
      .filter((url) => url !== undefined)
      .map((url) => new URL(url).origin),
    temporalEnvironment: temporalEnvironment({ ...env, TEMPORAL_ADDRESS: settings.TEMPORAL_ADDRESS }),
    /** Runs that an account may start in a calendar month (UTC), reminders of its gates, searches of its agents; 0 is no limit. */
    MONTHLY_RUN_LIMIT: settings.MONTHLY_RUN_LIMIT ?? (hosted ? 100 : 0),
    REMINDER_LIMIT_PER_HOUR: settings.REMINDER_LIMIT_PER_HOUR ?? (hosted ? 1_000 : 10_000),
    WEB_SEARCH_LIMIT_PER_DAY: settings.WEB_SEARCH_LIMIT_PER_DAY ?? (hosted ? 200 : 0),
    /** Where files are kept in place of `FILES_DIR`. */
    filesS3: bucket && {
      endpoint: bucket.FILES_S3_ENDPOINT,
      bucket: bucket.FILES_S3_BUCKET,
      region: settings.FILES_S3_REGION,
      access_key_id: bucket.FILES_S3_ACCESS_KEY_ID,
      secret_access_key: bucket.FILES_S3_SECRET_ACCESS_KEY,
    },
    /** Requests of an account that has no tier; 0 is no limit. */
    RATE_LIMIT_PER_MINUTE: settings.RATE_LIMIT_PER_MINUTE ?? 0,
    /** Of accounts that were given none. An operator who says how many requests there may be has no use for it. */
    default_tier: hosted && settings.RATE_LIMIT_PER_MINUTE === undefined ? ('free' as const) : null,
    /** Accounts made from one address; 0 is no limit. */
    REGISTER_LIMIT_PER_HOUR: settings.REGISTER_LIMIT_PER_HOUR ?? (hosted ? 20 : 0),
  };
}
export type Config = ReturnType<typeof loadConfig>;

/** The standard `TEMPORAL_*` settings (address, namespace, API key, TLS), for `@temporalio/envconfig`. */
function temporalEnvironment(env: Environment): Record<string, string> {
  const isSet = (entry: [string, string | undefined]): entry is [string, string] =>
    entry[0].startsWith('TEMPORAL_') && Boolean(entry[1]);
  return Object.fromEntries(Object.entries(env).filter(isSet));
}

/** Settings of `npm run migrate`. */
export function loadMigrateConfig(env: Environment = process.env) {
  return { ...parse(migrateEnvironment, env), temporalEnvironment: temporalEnvironment(env) };
}

/** Settings of `npm run reencrypt`. */
export function loadReencryptConfig(env: Environment = process.env) {
  return parse(reencryptEnvironment, env);
}

/** Settings of `npm run account`. */
export function loadAccountConfig(env: Environment = process.env) {
  return parse(accountEnvironment, env);
}

/** Settings of `npm start`; the child processes it starts get theirs from it. */
export function loadLauncherConfig(env: Environment = process.env) {
  return { ...parse(launcherEnvironment, env), inherited: env };
}

/** Where to look for a Temporal CLI. */
export function loadTemporalBinaryConfig(env: Environment = process.env) {
  return { ...parse(temporalBinaryEnvironment, env), inherited: env };
}
