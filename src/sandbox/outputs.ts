import type { Ended, OutputFile, Outcome } from './job.ts';

/** Files that a job leaves in /tmp/outputs: an archive that the jail writes to descriptor 4. Whatever comes there is hostile. */

/** Run by `sh -c`, with the command as `$0`. */
export const collecting =
  'sh -c "$0" 4>&-; code=$?; tar --format=gnu -C /tmp/outputs -cf - . >&4 2>/dev/null; exit $code';

const block = 512;
/** More files than this are none that anybody asked for. */
const mostFiles = 100;

/** The regular files of the archive; what else is in it (links, devices) is left out. */
export function readArchive(archive: Buffer | undefined, ended: Ended): Pick<Outcome, 'files' | 'files_fault'> {
  if (ended !== 'exited') return { files: [] };
  if (!archive) return { files: [], files_fault: 'The files in /tmp/outputs are larger than what may be kept.' };
  const files: OutputFile[] = [];
  let longName: string | undefined;
  for (let at = 0; at + block <= archive.length && archive[at] !== 0;) {
    const header = archive.subarray(at, at + block);
    const size = sizeOf(header);
    at += block;
    if (size === undefined || at + size > archive.length) break;
    const content = archive.subarray(at, at + size);
    at += Math.ceil(size / block) * block;
    const type = String.fromCharCode(header[156]!);
    if (type === 'L') longName = textOf(content);
    else {
      const name = (longName ?? textOf(header.subarray(0, 100))).replace(/^\.\//, '');
      longName = undefined;
      if (type === '0' && name) files.push({ name, content });
    }
    if (files.length > mostFiles) {
      return { files: [], files_fault: `There are more than ${mostFiles} files in /tmp/outputs.` };
    }
  }
  return { files };
}

/** Octal digits; of more than 8 GB another form, which nothing here has. */
function sizeOf(header: Buffer): number | undefined {
  const digits = textOf(header.subarray(124, 136)).trim();
  return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}
