import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../harness/command.ts';
import { createEnvironment, startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess } from '../harness/processes.ts';
import { expectProblem } from '../harness/problem.ts';
import { hasS3, startS3 } from '../harness/s3.ts';
import { upload } from '../harness/upload.ts';

/** When the store is not there, and when something dies: nobody is told of a file that is not kept, and nothing is left for ever. */

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
  user = await orchflow.register();
});
afterEach(killProcesses);
afterAll(() => orchflow.stop());

const folder = (name: string) => path.join(orchflow.env.FILES_DIR!, name);
const listed = (name: string) => readdir(folder(name)).catch(() => [] as string[]);
const rows = () => orchflow.db.selectFrom('files').select(['file_id', 'status']).orderBy('file_id').execute();
const age = () =>
  orchflow.db
    .updateTable('files')
    .set({ created_at: sql`now() - interval '61 minutes'` })
    .where('status', '=', 'uploading')
    .execute();

/** Each API keeps house when it begins. */
async function keepHouse(until_: () => Promise<boolean>, environment: Record<string, string> = {}): Promise<void> {
  const another = await startApiProcess({ ...orchflow.env, ...environment });
  await until(until_, 'what is needed no more is gone');
  await another.kill('SIGTERM');
}

const unavailable = { status: 503, code: 'FILES_UNAVAILABLE' };

test('what uploads have left that died is removed from the store; what is under way stays', async () => {
  const { account_id } = await orchflow.db.selectFrom('accounts').select('account_id').executeTakeFirstOrThrow();
  const kept = (await upload(orchflow.url, user.api_key, 'Kept.')).body.file_id as string;
  const row = { account_id, name: 'a.txt', media_type: 'text/plain', size: 1, sha256: '' };
  const uploading = async (file_id: string) => {
    await orchflow.db
      .insertInto('files')
      .values({ ...row, file_id })
      .execute();
    await writeFile(path.join(folder('stored'), file_id), 'x');
  };
  await uploading('file_dead');
  await age();
  await uploading('file_fresh');
  await mkdir(folder('incoming'), { recursive: true });
  for (const name of ['file_old', 'file_new']) await writeFile(path.join(folder('incoming'), name), 'x');
  const before = Date.now() / 1000 - 3_660;
  await utimes(path.join(folder('incoming'), 'file_old'), before, before);

  await keepHouse(async () => (await rows()).length === 2 && (await listed('incoming')).length === 1);
  expect(await rows()).toEqual(
    [
      { file_id: kept, status: 'stored' },
      { file_id: 'file_fresh', status: 'uploading' },
    ].toSorted((a, b) => (a.file_id < b.file_id ? -1 : 1)),
  );
  expect((await listed('stored')).toSorted()).toEqual([kept, 'file_fresh'].toSorted());
  expect(await listed('incoming')).toEqual(['file_new']);
  await orchflow.db.deleteFrom('files').where('file_id', '=', 'file_fresh').execute();
});

test('an account that is deleted leaves nothing in the store', async () => {
  const other = await orchflow.register();
  const { file_id } = (await upload(orchflow.url, other.api_key, 'Theirs.')).body;
  expect(await listed('stored')).toContain(file_id);
  const { DATABASE_URL } = orchflow.env;
  await runCommand('account', { DATABASE_URL }, other.email, '--delete', '--yes');
  await keepHouse(async () => !(await listed('stored')).includes(file_id));
  await until(async () => !(await rows()).some((row) => row.file_id === file_id), 'its row is gone');
});

test('a folder that cannot be written is a 503, and the rest goes on', async () => {
  const broken = await startApiProcess({ ...orchflow.env, FILES_DIR: '/dev/null/files' });
  expectProblem(await upload(broken.url, user.api_key, 'a'), unavailable);
  expect((await rows()).filter(({ status }) => status !== 'stored')).toEqual([]);
  expect((await broken.health()).status).toBe(200);
});

test.skipIf(!hasS3)('a bucket that is not there is a 503; what was left is removed when it is', async () => {
  const s3 = await startS3();
  const database = { DATABASE_URL: orchflow.env.DATABASE_URL!, ENCRYPTION_KEY: orchflow.env.ENCRYPTION_KEY! };
  const away = await createEnvironment({ ...database, ...s3.environment, FILES_S3_ENDPOINT: 'http://127.0.0.1:9' });
  const api = await startApiProcess(away);
  const before = await rows();
  expectProblem(await upload(api.url, user.api_key, 'a'), unavailable);
  expect((await rows()).filter(({ status }) => status === 'deleted')).toHaveLength(1);
  await api.kill();
  await keepHouse(async () => JSON.stringify(await rows()) === JSON.stringify(before), s3.environment);
  await s3.stop();
});

test.skipIf(!hasS3)('an API that is killed while it writes to the bucket leaves nothing for ever', async () => {
  const s3 = await startS3();
  const api = await startApiProcess({ ...orchflow.env, ...s3.environment });
  const before = await rows();
  s3.signal('SIGSTOP');
  const sent = upload(api.url, user.api_key, 'Lost.').catch(() => 'cut');
  const uploading = async () => (await rows()).filter(({ status }) => status === 'uploading');
  await until(async () => (await uploading()).length === 1, 'it is being written');
  expect((await user.get('/files')).body.files).toHaveLength(before.length);
  await api.kill();
  expect(await sent).toBe('cut');
  s3.signal('SIGCONT');
  await age();
  await keepHouse(async () => JSON.stringify(await rows()) === JSON.stringify(before), s3.environment);
  expect(await s3.keys()).toEqual([]);
  await s3.stop();
});
