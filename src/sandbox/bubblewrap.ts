import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findGroups, sweepGroups } from './cgroups.ts';
import { exitEnvironment, insidePorts, openExits, type Exit, type Network } from './exits.ts';
import { SandboxFault, type Job, type Outcome, type Sandbox } from './job.ts';
import { collecting, readArchive } from './outputs.ts';
import { findIn } from './programs.ts';
import { seccompFilter } from './seccomp.ts';
import { runProcess, type Started } from './spawn.ts';
import { createStarters, type Starter } from './starters.ts';
import { createCleaning, isRoot, nobody, readable, type Workspace } from './workspace.ts';

/**
 * Linux namespaces by bubblewrap: a job sees /usr of this machine, its code, its uploads and a /tmp of its own in memory, and has
 * no network, no other process and no privilege. A worker that is root gives that up first (setpriv).
 */

type Programs = Record<'bwrap' | 'prlimit' | 'setpriv' | 'sh' | 'node' | 'perl' | 'python', string>;

export type BubblewrapSettings = { workspace: Workspace; cgroup: string | undefined; network: Network };

const places = '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin';
/** Node does not start with less address space for data, whatever it uses of it. */
const leastData_bytes = 1024 * 1024 * 1024;
const ownPlace = '/opt/orchflow';
/** Of what the log keeps of it, in characters. */
const longestCause = 300;

/** @throws Error that says which program is missing. */
export async function createBubblewrap({ workspace, cgroup, network }: BubblewrapSettings): Promise<Sandbox> {
  const programs = findPrograms();
  const node = await readable(programs.node, workspace.folder);
  const ways = await Promise.all(
    ['lead.pl', 'forward.py'].map((name) => readable(path.join(import.meta.dirname, name), workspace.folder)),
  );
  const groups = findGroups(cgroup);
  const system = [
    systemArgs({ ...programs, node }, ways, await writeEtc(workspace.folder)),
    // It is read as /dev/zero is; that can be mapped as memory that no process is seen to use.
    groups ? [] : ['--dev-bind', '/dev/full', '/dev/zero'],
  ].flat();
  if (cgroup && !groups) throw new Error(`SANDBOX_CGROUP, ${cgroup}, is no folder in which groups can be made.`);
  if (groups) sweepGroups(groups);

  const starters = createStarters(programs.perl, { groups, filter: await writeFilter(workspace.folder, !groups) });
  // Nobody waits for it.
  const cleaning = createCleaning();

  async function run(job: Job): Promise<Outcome> {
    const place = await workspace.makeJob(job.uploads ?? []);
    let starter: Starter | undefined;
    let open: Awaited<ReturnType<typeof openExits>> | undefined;
    try {
      starter = starters.take();
      starter.group?.limit(job.limits);
      open = await openExits(network, job, place.folder);
      const started = startOf(job, { programs, starter, system, place, exits: open.exits });
      const { read, ...outcome } = await runProcess(started, job);
      requireMade(outcome);
      const left = job.outputs_bytes === undefined ? { files: [] } : readArchive(read, outcome.ended);
      return { ...outcome, ...left };
    } finally {
      cleaning.add(async () => {
        await open?.close();
        await starter?.end();
        await workspace.removeJob(place.folder);
      });
    }
  }

  return {
    driver: 'bubblewrap',
    languages: ['python', 'javascript'],
    run,
    async close() {
      await starters.close();
      await cleaning.ended();
      await workspace.close();
    },
  };
}

/** What bubblewrap itself says, before the job has begun. @throws SandboxFault, of which the operator reads the cause */
function requireMade({ exit_code, stderr, stdout }: Pick<Outcome, 'exit_code' | 'stderr' | 'stdout'>): void {
  if (exit_code !== 1 || stdout.text !== '' || !/^bwrap: [^\n]*\n$/.test(stderr.text)) return;
  // It may be the job that says so.
  throw new SandboxFault('its sandbox could not be made.', {
    cause: new Error(stderr.text.trim().slice(0, longestCause)),
  });
}

type Jail = {
  programs: Programs;
  starter: Starter;
  /** What all jails have of this machine. */
  system: string[];
  place: { uploads: string };
  exits: Exit[];
};

/** The job as a process: what it joins and gives up, one program after another, until it is in its jail. */
function startOf(job: Job, { programs, starter, system, place, exits }: Jail): Started {
  const { bwrap, perl, prlimit, python, setpriv, sh } = programs;
  const variables = { ...environment, ...exitEnvironment(exits.map(inside)), ...job.env };
  const jail = [
    namespaces,
    system,
    starter.filters === undefined ? [] : ['--seccomp', String(starter.filters)],
    ['--size', String(job.limits.disk_bytes), '--tmpfs', '/tmp', '--dir', '/tmp/outputs'],
    ['--size', String(Math.ceil(job.limits.disk_bytes / 4)), '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
    ['--ro-bind', place.uploads, '/tmp/uploads', '--ro-bind', job.code, '/app', '--chdir', '/app'],
    exits.flatMap(({ name, at }) => ['--bind', String(at), `${ownPlace}/${name}`]),
    ['--remount-ro', '/'],
    Object.entries(variables).flatMap(([name, value]) => ['--setenv', name, value]),
  ].flat();
  if (jail.some((arg) => arg.includes('\0'))) throw new SandboxFault('The environment holds a NUL character.');
  if (job.command.includes('\0')) throw new SandboxFault('The command holds a NUL character.');
  const leading = [perl, `${ownPlace}/lead.pl`, python, `${ownPlace}/forward.py`, ...exits.map(led), '--'];
  const collects = job.outputs_bytes !== undefined;
  const line = [
    isRoot ? [setpriv, `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--inh-caps=-all', '--'] : [],
    [prlimit, ...limitsOf(job), '--', bwrap, '--args', '3', '--'],
    [prlimit, `--nproc=${job.limits.processes}`, '--'],
    exits.length > 0 ? leading : [],
    [sh, '-c', ...(collects ? [collecting, job.command] : [job.command])],
  ].flat();
  return {
    begin: () => starter.become(line, collects ? undefined : 4),
    stdin: job.stdin?.('/tmp/uploads') ?? '',
    // Each ends with NUL: an empty one at the end would be none.
    inputs: [jail.map((arg) => `${arg}\0`).join('')],
    reads_bytes: job.outputs_bytes,
    measure: starter.group?.measure,
    killRest: starter.group?.kill,
  };
}

function inside({ name }: Exit) {
  return { name, port: insidePorts[name] };
}

function led({ name }: Exit): string {
  return `${insidePorts[name]}=${ownPlace}/${name}`;
}

const namespaces = [
  '--unshare-all --unshare-user --disable-userns --die-with-parent --new-session --cap-drop ALL',
  `--uid ${nobody} --gid ${nobody} --hostname sandbox --clearenv`,
].flatMap((words) => words.split(' '));

const environment = {
  PATH: '/opt/node/bin:/opt/bin:/usr/local/bin:/usr/bin:/bin',
  HOME: '/tmp',
  TMPDIR: '/tmp',
  USER: 'sandbox',
  LANG: 'C.UTF-8',
  PYTHONDONTWRITEBYTECODE: '1',
  // So that what is printed is heard as it comes.
  PYTHONUNBUFFERED: '1',
  NODE_USE_ENV_PROXY: '1',
};

function findPrograms(): Programs {
  const find = (name: string) => findIn(places, name);
  return {
    bwrap: find('bwrap'),
    prlimit: find('prlimit'),
    setpriv: find('setpriv'),
    sh: find('sh'),
    perl: find('perl'),
    python: find('python3'),
    node: process.execPath,
  };
}

/** What the kernel is to refuse, in a file; undefined on a machine of another kind than are known. */
async function writeFilter(folder: string, isWatched: boolean): Promise<string | undefined> {
  const filter = seccompFilter(process.arch, { isWatched });
  if (!filter) return undefined;
  const file = path.join(folder, 'seccomp');
  await writeFile(file, filter);
  return file;
}

/** Enough of /etc for programs that look who they are and what localhost is; nothing in it is this machine's. */
async function writeEtc(folder: string): Promise<string> {
  const etc = path.join(folder, 'etc');
  await mkdir(etc, { recursive: true, mode: 0o755 });
  await writeFile(path.join(etc, 'passwd'), `sandbox:x:${nobody}:${nobody}::/tmp:/bin/sh\n`);
  await writeFile(path.join(etc, 'group'), `sandbox:x:${nobody}:\n`);
  await writeFile(path.join(etc, 'hosts'), '127.0.0.1 localhost\n::1 localhost\n');
  return etc;
}

/** What all jails have of this machine. */
function systemArgs({ node, python }: Programs, ways: string[], etc: string): string[] {
  const links = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'].flatMap((name) => {
    if (!existsSync(`/${name}`)) return [];
    const isLink = lstatSync(`/${name}`).isSymbolicLink();
    return isLink ? ['--symlink', readlinkSync(`/${name}`), `/${name}`] : ['--ro-bind', `/${name}`, `/${name}`];
  });
  return [
    ['--ro-bind', '/usr', '/usr', ...links, '--proc', '/proc', '--dev', '/dev'],
    ['passwd', 'group', 'hosts'].flatMap((name) => ['--ro-bind', path.join(etc, name), `/etc/${name}`]),
    // The certificates by which others are known, and where libraries and alternatives are found.
    ['ssl/certs', 'ld.so.cache', 'alternatives'].flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]),
    ['--ro-bind', node, '/opt/node/bin/node', '--symlink', python, '/opt/bin/python'],
    ways.flatMap((file) => ['--ro-bind', file, `${ownPlace}/${path.basename(file)}`]),
  ].flat();
}

/** Of each process; of all together the control group and the watch. */
function limitsOf({ limits }: Job): string[] {
  return [
    `--data=${Math.max(limits.memory_bytes, leastData_bytes)}`,
    `--fsize=${limits.disk_bytes}`,
    `--cpu=${Math.ceil(limits.wall_ms / 1_000) + 1}`,
    '--core=0',
    '--nofile=1024',
    '--memlock=0',
    '--msgqueue=0',
  ];
}
