import { endianness } from 'node:os';

/**
 * What the kernel refuses to a job, as a filter of system calls (seccomp(2), in classic BPF): what leads to other machines or to keys
 * of others, what few programs need and faults of the kernel are found in, and programs of other architectures, whose calls have
 * other numbers.
 */

type Numbers = Record<
  | 'socket'
  | 'mmap'
  | 'shmget'
  | 'semget'
  | 'msgget'
  | 'add_key'
  | 'request_key'
  | 'keyctl'
  | 'perf_event_open'
  | 'bpf'
  | 'userfaultfd'
  | 'memfd_create',
  number
>;

/** `audit` is `AUDIT_ARCH_…` of linux/audit.h; the numbers are those of asm/unistd.h. */
const machines: Partial<Record<NodeJS.Architecture, { audit: number; numbers: Numbers }>> = {
  x64: {
    audit: 0xc000_003e,
    numbers: {
      socket: 41,
      mmap: 9,
      shmget: 29,
      semget: 64,
      msgget: 68,
      add_key: 248,
      request_key: 249,
      keyctl: 250,
      perf_event_open: 298,
      bpf: 321,
      userfaultfd: 323,
      memfd_create: 319,
    },
  },
  arm64: {
    audit: 0xc000_00b7,
    numbers: {
      socket: 198,
      mmap: 222,
      shmget: 194,
      semget: 190,
      msgget: 186,
      add_key: 217,
      request_key: 218,
      keyctl: 219,
      perf_event_open: 241,
      bpf: 280,
      userfaultfd: 282,
      memfd_create: 279,
    },
  },
};
/** The same on all machines. */
const [io_uring_setup, io_uring_enter, io_uring_register, memfd_secret] = [425, 426, 427, 447];
/** On x64: of calls with pointers of 32 bits, which have numbers of their own from here on. */
const x32 = 0x4000_0000;

/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: by the last a program asks which interfaces there are. */
const families = [1, 2, 10, 16];
/** MAP_SHARED and MAP_ANONYMOUS. */
const sharedMemory = 0x21;

const errors = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 };

type Instruction = [code: number, jt: number, jf: number, k: number];

/** Where struct seccomp_data has them; of an argument the lower half, on machines that begin with it. */
const offsets = { number: 0, machine: 4, argument: (index: number) => 16 + 8 * index };
const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const and = (bits: number): Instruction => [0x54, 0, 0, bits];
const equals = (value: number, jt: number, jf: number): Instruction => [0x15, jt, jf, value];
const atLeast = (value: number, jt: number, jf: number): Instruction => [0x35, jt, jf, value];
const allow: Instruction = [0x06, 0, 0, 0x7fff_0000];
const refuse = (error: keyof typeof errors): Instruction => [0x06, 0, 0, 0x0005_0000 | errors[error]];

/**
 * The filter as bubblewrap takes it; undefined of a machine whose calls are not known here. `isWatched`: nothing counts the memory of
 * the job but what its processes are seen to use, so it may have none that is in no process.
 */
export function seccompFilter(machine: NodeJS.Architecture, { isWatched }: { isWatched: boolean }): Buffer | undefined {
  const known = machines[machine];
  if (!known || endianness() !== 'LE') return undefined;
  const { audit, numbers } = known;
  const refused: [number[], keyof typeof errors][] = [
    // Who asks for these goes on without.
    [[io_uring_setup, io_uring_enter, io_uring_register], 'ENOSYS'],
    [[numbers.add_key, numbers.request_key, numbers.keyctl], 'ENOSYS'],
    [[numbers.bpf, numbers.perf_event_open, numbers.userfaultfd], 'EPERM'],
    [isWatched ? [numbers.memfd_create, memfd_secret, numbers.shmget, numbers.semget, numbers.msgget] : [], 'ENOSYS'],
  ];
  return assembled(
    [
      [load(offsets.machine), equals(audit, 1, 0), refuse('ENOSYS'), load(offsets.number)],
      machine === 'x64' ? [atLeast(x32, 0, 1), refuse('ENOSYS')] : [],
      refused.flatMap(([calls, error]) => calls.flatMap((call) => [equals(call, 0, 1), refuse(error)])),
      isWatched
        ? [
            equals(numbers.mmap, 0, 5),
            load(offsets.argument(3)),
            and(sharedMemory),
            equals(sharedMemory, 0, 1),
            refuse('EPERM'),
            allow,
          ]
        : [],
      [equals(numbers.socket, 1, 0), allow, load(offsets.argument(0))],
      families.flatMap((family) => [equals(family, 0, 1), allow]),
      [refuse('EAFNOSUPPORT')],
    ].flat(),
  );
}

/** An array of struct sock_filter. */
function assembled(instructions: Instruction[]): Buffer {
  const filter = Buffer.alloc(instructions.length * 8);
  for (const [index, [code, jt, jf, k]] of instructions.entries()) {
    filter.writeUInt16LE(code, index * 8);
    filter.writeUInt8(jt, index * 8 + 2);
    filter.writeUInt8(jf, index * 8 + 3);
    filter.writeUInt32LE(k, index * 8 + 4);
  }
  return filter;
}
