import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { findAccountByEmail } from '../db/accounts.ts';
import { createDb } from '../db/index.ts';
import { findStoredRun } from '../db/reconcile.ts';
import { requireEncryptionKey } from './accounts/encryption-key.ts';
import { loadConfig } from './config.ts';
import { createRunEngine } from './engine.ts';
import { createTemporalClient } from './temporal/client.ts';
import { createOutbox } from './temporal/outbox.ts';
import type { Sides } from './temporal/mend.ts';
import { reconcileDocuments } from './temporal/reconcile-documents.ts';
import { reconcile, type Finding, type ReconcileOptions } from './temporal/reconcile.ts';

const usage = `npm run reconcile -- [--mend] [--run RUN_ID | --account EMAIL]

  Compares what PostgreSQL and Temporal have of all runs that have not ended on both sides, and of documents that wait for
  their indexing, and says in what they differ: after one of the two was restored from a backup.

  --mend      brings them together, as each line says
  --run       only this run
  --account   only the runs and documents of this account

Exit code 0: nothing differs, or all is mended. 1: something differs. 2: they could not be compared.`;

type Call = { mends: boolean; run_id?: string; email?: string };

/** Undefined when it is called in another way. */
function readCall(): Call | undefined {
  try {
    const options = {
      mend: { type: 'boolean', default: false },
      run: { type: 'string' },
      account: { type: 'string' },
    } as const;
    const { mend: mends, run: run_id, account: email } = parseArgs({ options }).values;
    return run_id && email ? undefined : { mends, run_id, email };
  } catch {
    return undefined;
  }
}

/** Returns the exit code. */
async function compare(sides: Sides, options: ReconcileOptions): Promise<number> {
  const count = { compared: 0, documents: 0 };
  let differing = 0;
  let unmended = 0;
  for await (const finding of reconcile(sides, options, count)) {
    differing += 1;
    if (finding.left.length > 0) unmended += 1;
    for (const line of linesOf(finding, options)) console.log(line);
  }
  const { mends, run_id } = options;
  for await (const { document_id, is, mend } of run_id ? [] : reconcileDocuments(sides, options, count)) {
    differing += 1;
    console.log(`${document_id}  ${is}. To do: ${mend}.${mends ? ' Done.' : ''}`);
  }
  const numbers = new Intl.NumberFormat('en');
  const documents = count.documents > 0 ? ` and ${numbers.format(count.documents)} documents` : '';
  const runs = `${numbers.format(count.compared)} runs${documents} compared, ${numbers.format(differing)} differ`;
  if (differing === 0) console.log(`${runs}.`);
  else if (!options.mends) console.log(`${runs}. Say it again with --mend, and it is done.`);
  else console.log(`${runs}; mended: ${differing - unmended}${unmended ? `, not mended: ${unmended}` : ''}.`);
  return unmended > 0 ? 1 : 0;
}

function linesOf({ run_id, differences, left }: Finding, { mends }: ReconcileOptions): string[] {
  return differences.map(({ kind, is, mend }) => {
    const isLeft = left.some((one) => one.kind === kind);
    const outcome = !mends ? '' : isLeft ? ' NOT DONE' : ' Done.';
    return `${run_id}  ${is}. To do: ${mend}.${outcome}`;
  });
}

async function main(): Promise<number> {
  const call = readCall();
  if (!call) {
    console.error(usage);
    return 2;
  }
  const config = loadConfig();
  // What is found is said on stdout.
  const log = pino({ level: config.LOG_LEVEL === 'debug' ? 'debug' : 'warn', name: 'reconcile' }, pino.destination(2));
  await requireEncryptionKey(config, log);
  const db = createDb(config.DATABASE_URL, 6, { statement_timeout: 0 });
  const client = createTemporalClient(config);
  const engine = createRunEngine({ config, db, client });
  const outbox = call.mends
    ? createOutbox({ db, engine, log, maxActiveRuns: config.MAX_ACTIVE_RUNS_PER_ACCOUNT })
    : undefined;
  try {
    const { mends, run_id, email } = call;
    const account = email === undefined ? undefined : await findAccountByEmail(db, email);
    if (email !== undefined && !account) throw new Error(`There is no account of ${email}.`);
    if (run_id !== undefined && !(await isKnown({ db, engine }, run_id))) {
      throw new Error(`Neither PostgreSQL nor Temporal knows a run ${run_id}.`);
    }
    return await compare({ db, engine }, { mends, run_id, account_id: account?.account_id });
  } catch (error) {
    const where = `Temporal is asked at ${config.TEMPORAL_ADDRESS}`;
    console.error(`PostgreSQL and Temporal could not be compared (${where}). ${(error as Error).message}`);
    return 2;
  } finally {
    await outbox?.stop();
    await Promise.all([client.connection.close(), db.destroy()]);
  }
}

async function isKnown({ db, engine }: Sides, run_id: string): Promise<boolean> {
  return Boolean((await findStoredRun(db, run_id)) ?? (await engine.findKnownRun(run_id, [])));
}

// What else was being asked when one side could not be reached is not waited for.
process.exit(
  await main().catch((error: Error) => {
    console.error(error.message);
    return 2;
  }),
);
