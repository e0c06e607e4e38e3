import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig, loadLauncherConfig, variables } from '../../src/config.ts';
import { makeEnvironment } from '../../src/embedded/environment.ts';
import { problems } from '../../src/http/problem-codes.ts';

const read = (file: string) => readFileSync(path.join(import.meta.dirname, '../..', file), 'utf8');
const namesIn = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]!);

/** Of the system, not of Orchflow. */
const ofTheSystem = ['PATH', 'XDG_CACHE_HOME'];
const listed = namesIn(read('.env.example'), /^([A-Z\d_]+)=/gm);

test('.env.example lists every variable that Orchflow and its compose file read, once, and no other', () => {
  const inCompose = namesIn(read('docker-compose.yml'), /\$\{([A-Z\d_]+)/g);
  const expected = new Set([...variables, ...inCompose].filter((name) => !ofTheSystem.includes(name)));
  expect(listed.toSorted()).toEqual([...expected].toSorted());
});

test('a .env made from .env.example, with the two that are needed, gives the defaults that it names', () => {
  const lines = read('.env.example').matchAll(/^([A-Z\d_]+)=(.*)$/gm);
  const env = Object.fromEntries([...lines].map(([, name, value]) => [name!, value]));
  const needed = { ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'), DATABASE_URL: 'postgres://localhost/orchflow' };
  const config = loadConfig({ ...env, ...needed });
  expect(config).toMatchObject({
    PORT: 8000,
    HOST: '0.0.0.0',
    LOG_LEVEL: 'info',
    DATABASE_POOL_SIZE: 10,
    LLM_TIMEOUT_SECONDS: 300,
    LLM_IDLE_TIMEOUT_SECONDS: 60,
    WORKER_PLACES: 200,
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: [],
    TEMPORAL_ADDRESS: 'localhost:7233',
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_TASK_QUEUE: 'orchflow',
    ORCHFLOW_MODE: 'self_hosted',
    MONTHLY_RUN_LIMIT: 0,
    GEMINI_MODEL: 'gemini-2.0-flash-lite',
    OPENAI_MODEL: 'gpt-4o-mini',
    OLLAMA_MODEL: 'llama3',
    ORCHFLOW_EMBEDDED: false,
  });
  const selfHosted = {
    MANAGED_TRIAL_RUNS_ENABLED: false,
    MANAGED_TRIAL_RUNS_COUNT: 0,
    ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: false,
  };
  // As the published README has them.
  expect(config).toMatchObject(selfHosted);
  expect(loadConfig({ ...needed, ORCHFLOW_MODE: 'self_hosted' })).toMatchObject(selfHosted);
  const hosted = loadConfig({ ...needed, ORCHFLOW_MODE: 'hosted' });
  expect(hosted).toMatchObject({
    MANAGED_TRIAL_RUNS_ENABLED: true,
    MANAGED_TRIAL_RUNS_COUNT: 3,
    MONTHLY_RUN_LIMIT: 100,
    ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: true,
  });
});

/** Settings of Temporal's SDKs, and what looks like one of ours and is the code of a problem. */
const isOther = (name: string) => /^TEMPORAL_(API_KEY|TLS\w*)$/.test(name) || Object.hasOwn(problems, name);

test.each([
  'README.md',
  'docs/deploy.md',
  'docs/operators.md',
  'docs/security.md',
  'docs/tools.md',
  'docs/providers.md',
  'CONTRIBUTING.md',
])('every setting that %s names is one', (file) => {
  const text = read(file);
  const named = namesIn(text, /(?:`|^)([A-Z]+_[A-Z_]*[A-Z])(?==|`)/gm);
  const prefixes = new Set([...listed].map((name) => name.split('_')[0]!));
  const ours = named.filter((name) => prefixes.has(name.split('_')[0]!) && !isOther(name));
  expect(ours.filter((name) => !listed.includes(name))).toEqual([]);
});

test('what the docs say that .env.example has, it has', () => {
  const said = [...read('docs/deploy.md').matchAll(/`([A-Z\d_]+)=\w+` \(`\.env\.example` has `(\w+)`\)/g)];
  expect(said).toHaveLength(1);
  for (const [, name, value] of said) expect(read('.env.example')).toContain(`\n${name}=${value}\n`);
});

const thisMachine = ['127.0.0.0/8', '::1/128'];
test.each<[setting: Record<string, string>, allowed: string[]]>([
  [{}, thisMachine],
  [{ ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '' }, thisMachine],
  [{ ORCHFLOW_ALLOWED_PRIVATE_CIDRS: 'none' }, []],
  [{ ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '10.0.0.0/8' }, ['10.0.0.0/8']],
  [{ HOST: 'localhost' }, thisMachine],
  [{ HOST: '::1', ORCHFLOW_MODE: 'self_hosted' }, thisMachine],
  // Others may ask.
  [{ HOST: '0.0.0.0' }, []],
  [{ HOST: '::' }, []],
  [{ HOST: '192.168.1.7' }, []],
  [{ HOST: '127.evil.example' }, []],
  [{ ORCHFLOW_MODE: 'hosted' }, []],
  [{ ORCHFLOW_MODE: 'hosted', HOST: '127.0.0.1', ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '' }, []],
  [{ ORCHFLOW_MODE: 'hosted', ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '10.0.0.0/8' }, ['10.0.0.0/8']],
  [{ HOST: '0.0.0.0', ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8' }, ['127.0.0.0/8']],
])('npm start with %o lets the URLs of accounts be at %j', async (setting, allowed) => {
  const key = Buffer.alloc(32).toString('base64');
  const needed = { ENCRYPTION_KEY: key, DATABASE_URL: 'postgres://localhost/orchflow', GEMINI_API_KEY: 'not-used' };
  const launcher = loadLauncherConfig({ ...needed, ...setting });
  const config = loadConfig(await makeEnvironment(launcher, '/nonexistent'));
  expect(config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS).toEqual(allowed);
});
