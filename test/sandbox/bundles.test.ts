import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findBundle } from '../../db/bundles.ts';
import { keepBundle, removeBundle, removeUnusedBundles } from '../../src/code/bundles.ts';
import { createBundleCache } from '../../src/code/cache.ts';
import { bundleBounds } from '../../src/code/zip.ts';
import { createFileStore } from '../../src/files/create-store.ts';
import { loadConfig } from '../../src/config.ts';
import { registerCode } from '../harness/code.ts';
import { startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
import { countRows } from '../harness/rows.ts';
import { zipOf } from '../harness/zip.ts';

/** Archives of code, the hostile ones too. */

let orchflow: Orchflow;
beforeAll(async () => void (orchflow = await startOrchflow({ worker: false })));
afterAll(() => orchflow.stop());

const store = () => createFileStore(loadConfig(orchflow.env));
const deps = () => ({ db: orchflow.db, files: store(), log: pino({ level: 'silent' }) });
const keep = (archive: Uint8Array) => keepBundle(deps(), Readable.from([Buffer.from(archive)]));
const stored = () => ['incoming', 'stored'].flatMap((name) => listed(path.join(orchflow.env.FILES_DIR!, name)));

function listed(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

const file = (name: string, more: object = {}) => ({ name, content: 'x', ...more });
/** 300 MB of nothing, in as many parts as there may be in a small archive. */
const zeros = Buffer.alloc(1024 * 1024);

const hostile: [what: string, archive: () => Uint8Array, message: RegExp][] = [
  ['no archive', () => Buffer.from('PK no'), /no ZIP archive/],
  ['an empty one', () => zipOf([]), /no files/],
  ['a name that leads out', () => zipOf([file('../../x')]), /no ZIP archive|no name/],
  ['an absolute name', () => zipOf([file('/etc/x')]), /no ZIP archive|no name/],
  ['a name of Windows', () => zipOf([file('C:\\x')]), /no ZIP archive|no name/],
  ['a dot for a folder', () => zipOf([file('a/./b')]), /no name/],
  ['a long name', () => zipOf([file('a/'.repeat(30) + 'b')]), /no name/],
  ['a link', () => zipOf([file('link', { content: '/etc/passwd', mode: 0o120777 })]), /"link" is a link/],
  ['a device', () => zipOf([file('tty', { mode: 0o020666 })]), /is a device/],
  ['one name twice', () => zipOf([file('a'), file('a')]), /"a" is there twice/],
  ['names of one case', () => zipOf([file('Main.py'), file('main.py')]), /there twice/],
  ['a file that is a folder', () => zipOf([file('a'), file('a/b')]), /there twice/],
  [
    'too many',
    () => zipOf(Array.from({ length: bundleBounds.files + 1 }, (_, n) => file(`f${n}`))),
    /more than 1000 files/,
  ],
  ['far too many', () => zipOf(Array.from({ length: 3_000 }, (_, n) => file(`f${n}`))), /more than 1000 files/],
  ['a bomb', () => zipOf([file('bomb', { content: Buffer.alloc(30 * 1024 * 1024) })]), /looks like a bomb/],
  [
    'many small bombs',
    () => zipOf(Array.from({ length: 210 }, (_, n) => file(`z${n}`, { content: zeros }))),
    /more than 209715200 bytes/,
  ],
  ['a lie about a size', () => zipOf([file('liar', { content: zeros, size: 10 })]), /no ZIP archive/],
  ['a name of too many bytes', () => zipOf([file(`${'\u4e00'.repeat(90)}.txt`)]), /no name that a file may have/],
  ['a broken one', () => zipOf([file('a', { content: 'long enough to be cut' })]).slice(10), /no ZIP archive/],
];

test.each(hostile)('%s is refused, and nothing of it stays', async (_, archive, message) => {
  const [rows, files] = [await countRows(orchflow.db), stored()];
  await expect(keep(archive())).rejects.toMatchObject({
    code: 'BUNDLE_INVALID',
    message: expect.stringMatching(message),
  });
  expect(await countRows(orchflow.db)).toEqual(rows);
  expect(stored()).toEqual(files);
});

test('what is too large is refused before all of it is there', async () => {
  let sent = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        sent += zeros.length;
        yield zeros;
      }
    })(),
  );
  await expect(keepBundle(deps(), endless)).rejects.toMatchObject({ code: 'BUNDLE_TOO_LARGE' });
  expect(sent).toBeLessThan(bundleBounds.size + 20 * zeros.length);
  expect(stored()).toEqual([]);
});

test('a good one is kept once by its content, unpacked when it is used, and goes when nobody needs it', async () => {
  const nested = Buffer.from(zipOf([file('inner.txt')]));
  const archive = zipOf([
    file('main.py', { content: 'print(1)' }),
    file('run.sh', { mode: 0o100755 }),
    { name: 'lib.zip', content: nested },
  ]);
  const bundle = await keep(archive);
  expect(bundle).toEqual({
    code_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    bundle_size_bytes: archive.length,
    files: 3,
    kept_at: expect.any(String),
  });
  const again = await keep(archive);
  expect(again).toEqual({ ...bundle, kept_at: again.kept_at });
  // Whoever has kept it before does not take it away from who keeps it now.
  await removeBundle(deps(), bundle);
  expect(await findBundle(orchflow.db, bundle.code_hash)).toBeDefined();

  const root = mkdtempSync(path.join(tmpdir(), 'orchflow-bundles-'));
  const handed: string[] = [];
  const cache = createBundleCache(
    { files: store() },
    { root, most_bytes: 0, handOver: (folder) => void handed.push(folder) },
  );
  const [read] = await Promise.all([
    cache.withBundle(bundle.code_hash, async (folder) => readFileSync(path.join(folder, 'main.py'), 'utf8')),
    cache.withBundle(bundle.code_hash, async (folder) =>
      expect(readFileSync(path.join(folder, 'lib.zip'))).toEqual(nested),
    ),
  ]);
  expect(read).toBe('print(1)');
  expect(handed).toEqual([path.join(root, bundle.code_hash)]);
  // There is room for none that is not used.
  await until(() => readdirSync(root).length === 0, 'what nobody uses is deleted');

  // One is taken anew while it goes, again and again.
  const rounds = Array.from({ length: 2 }, async () => {
    for (let round = 0; round < 30; round += 1)
      await cache.withBundle(bundle.code_hash, async (folder) => {
        await setImmediate();
        expect(readFileSync(path.join(folder, 'main.py'), 'utf8')).toBe('print(1)');
      });
  });
  await Promise.all(rounds);
  // What is done is done, whatever becomes of the folder.
  const done = cache.withBundle(bundle.code_hash, async () => {
    rmSync(root, { recursive: true });
    writeFileSync(root, 'in the way');
    return 'done';
  });
  expect(await done).toBe('done');
  rmSync(root);

  const user = await orchflow.register();
  const agent_id = await registerCode(orchflow, user, { 'main.py': 'print(2)' });
  const version = orchflow.db.selectFrom('agent_versions').select('code_hash').where('agent_id', '=', agent_id);
  const { code_hash: needed } = await version.executeTakeFirstOrThrow();
  const tidy = () => removeUnusedBundles(deps(), new AbortController().signal);
  await tidy();
  expect(stored()).toHaveLength(2);
  await orchflow.db
    .updateTable('bundles')
    .set({ kept_at: sql`now() - interval '2 hours'` })
    .execute();
  await tidy();
  expect(stored()).toEqual([`bundle_${needed}`]);
  expect(await findBundle(orchflow.db, bundle.code_hash)).toBeUndefined();
  await user.delete(`/agents/${agent_id}`);
  await tidy();
  expect(stored()).toEqual([]);
});
