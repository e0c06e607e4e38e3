/** What is run in a sandbox, and what comes of it. */

/** What a job may use. Whatever goes beyond it ends the job, but for what is printed, which is cut first. */
export type Limits = {
  /** From its start to its end. */
  wall_ms: number;
  /** Of all its processes together. */
  memory_bytes: number;
  /** Of its processes and threads. */
  processes: number;
  /** Of all that it writes under /tmp. */
  disk_bytes: number;
  /** Of stdout, and of stderr, that is kept. A job that prints sixteen times as much is ended. */
  output_bytes: number;
};

/** A file that is given under a name in /tmp/uploads; `write` makes it at a path of the host. */
export type Upload = { name: string; write: (path: string) => Promise<void> };

/** A file that a job has left in /tmp/outputs; its name may hold slashes. */
export type OutputFile = { name: string; content: Buffer };

export type Job = {
  /** As a shell takes it; where there is no shell, `node FILE` alone. Its folder is that of the code. */
  command: string;
  /** A folder of the host, given read-only as /app. */
  code: string;
  uploads?: Upload[];
  /** Made of the folder in which the job finds its uploads. */
  stdin?: (uploadsAt: string) => string;
  env?: Record<string, string>;
  /** Of what it is given: what it must not say. Wherever it prints one, as it is, stars are heard and kept in its place. */
  secrets?: string[];
  limits: Limits;
  /** Hosts, perhaps with a port, that it may call beside the house's own API. */
  hosts?: string[];
  /** The house's own API is reached at `ORCHAGENT_GATEWAY_URL`: what this lets pass, by its path without the query, and all of it with this key. */
  gateway?: { key: string; passes: (method: string, path: string) => boolean };
  /** Bytes of files in /tmp/outputs that are brought back together; none unless given. */
  outputs_bytes?: number;
  /** Awaited when all is ready, before its process begins. What it throws is thrown. */
  beforeStart?: () => Promise<void>;
  signal?: AbortSignal;
  /** Hears what it prints, as it comes, up to what is kept. */
  onOutput?: (stream: 'stdout' | 'stderr', text: string) => void;
  /** Hears once of each that it prints more. */
  onCut?: (stream: 'stdout' | 'stderr') => void;
};

/** Of stdout its beginning, of stderr its end. */
export type Printed = { text: string; is_cut: boolean };

export type Ended = 'exited' | 'time' | 'memory' | 'output' | 'killed' | 'cancelled';

export type Outcome = {
  /** `killed`: by a signal that is none of ours. `cancelled`: by that of its job. */
  ended: Ended;
  /** Null unless it exited. */
  exit_code: number | null;
  stdout: Printed;
  stderr: Printed;
  wall_ms: number;
  /** As it was last seen: of a job that is short, too little where there are no control groups. */
  cpu_ms: number;
  files: OutputFile[];
  /** Why files that it left were not brought back. */
  files_fault?: string;
};

type Language = 'python' | 'javascript';

/** Something that runs code of people whom nobody trusts. */
export type Sandbox = {
  driver: 'bubblewrap' | 'deno';
  languages: Language[];
  /** @throws SandboxFault when it cannot be begun, and `signal.reason` when cancelled before that. */
  run: (job: Job) => Promise<Outcome>;
  /** Ends what is left; the folders of this process go. */
  close: () => Promise<void>;
};

/** The job was not begun, and why: for whoever wrote the code. */
export class SandboxFault extends Error {
  override readonly name = 'SandboxFault';
}
