import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { makeGroup, type Group, type Groups } from './cgroups.ts';

/**
 * Processes that have begun, in a control group of their own where there is one, and wait for what they are to become. To begin one,
 * Node copies the tables of all memory that a worker has, and does nothing else meanwhile; and to join a group takes the kernel ten
 * milliseconds. So that is done while another job runs. Each is for one job, and has nothing of any other; it ends with the worker.
 */

export type Starter = {
  group: Group | undefined;
  /** The descriptor at which bubblewrap finds its filter of system calls. */
  filters: number | undefined;
  /**
   * Has it become a program, without the descriptor `unneeded`, and returns it, with pipes for stdin, stdout, stderr, and the
   * descriptors 3 and 4. No word of the line may hold NUL. @throws Error when there is none.
   */
  become: (line: string[], unneeded: number | undefined) => ChildProcess;
  /** Ends it, and its group. */
  end: () => Promise<void>;
};

/** Where it is told what to become. */
const told = 5;
const program = path.join(import.meta.dirname, 'start.pl');
/** A job that is short has ended by then, and is not made longer by what is done for the next one. */
const pause_ms = 60;

export function createStarters(
  perl: string,
  { groups, filter }: { groups?: Groups | undefined; filter?: string | undefined },
) {
  let next: { starter: Starter; child: ChildProcess } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;

  function make() {
    const group = groups && makeGroup(groups);
    // One for each, since it is read from where it stands.
    const opened = filter === undefined ? undefined : openSync(filter, 'r');
    const pipes = Array.from({ length: told + 1 }, () => 'pipe' as const);
    const stdio = opened === undefined ? pipes : [...pipes, opened];
    const args = [program, String(stdio.length - 1), ...(group?.procs ?? [])];
    const child = spawn(perl, args, { env: {}, cwd: '/', detached: true, stdio });
    if (opened !== undefined) closeSync(opened);
    let fault: Error | undefined;
    child.on('error', (error) => (fault = error));
    // Node's types know five of them.
    const pipe = (child.stdio as unknown[])[told] as Writable;
    pipe.on('error', () => {});
    const starter: Starter = {
      group,
      filters: opened === undefined ? undefined : told + 1,
      become(line, unneeded) {
        if (child.pid === undefined) throw fault ?? new Error('No process could be begun.');
        const words = [unneeded ?? '', ...line];
        pipe.end([words.length, ...words].map((word) => `${word}\0`).join(''));
        return child;
      },
      async end() {
        child.kill('SIGKILL');
        await group?.remove();
      },
    };
    return { starter, child };
  }

  function prepare(): void {
    timer = undefined;
    if (isClosed) return;
    try {
      next ??= make();
    } catch {
      // Who takes one hears of it.
    }
  }

  return {
    /** One that waits, or a new one. In a while another one waits. */
    take(): Starter {
      const taken = next;
      next = undefined;
      timer ??= setTimeout(prepare, pause_ms).unref();
      const { pid, exitCode, signalCode } = taken?.child ?? {};
      if (taken && pid !== undefined && exitCode === null && signalCode === null) return taken.starter;
      void taken?.starter.end();
      return make().starter;
    },
    async close(): Promise<void> {
      isClosed = true;
      clearTimeout(timer);
      await next?.starter.end();
    },
  };
}
