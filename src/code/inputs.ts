import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { CodeInput } from '../../db/code-runs.ts';
import { NoSuchFile, type FileStore } from '../files/store.ts';
import type { Upload } from '../sandbox/index.ts';

/** The files of a run, as code is given them. */

/** With the number before it, where there are several, it is still one that a file system takes. */
const longestName_bytes = 200;

/** A file that the run was given is not in the store any more. */
export class NoSuchInput extends Error {
  override readonly name = 'NoSuchInput';
}

/** In /tmp/uploads, each by a name of its own, whatever they are called. */
export function inputNames(files: Pick<CodeInput, 'name'>[]): string[] {
  const taken = new Set<string>();
  return files.map(({ name }) => {
    const last = name
      .split(/[/\\]/)
      .at(-1)!
      .replaceAll(/\p{Cc}/gu, '_');
    const plain = endOf(last.toWellFormed(), longestName_bytes).replace(/^\.{1,2}$/, '_') || '_';
    let own = plain;
    for (let number = 2; taken.has(own); number += 1) own = `${number}_${plain}`;
    taken.add(own);
    return own;
  });
}

/** As much of the end of a text as has at most so many bytes, as file systems count. */
function endOf(text: string, most_bytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most_bytes) return text;
  // A character that was cut in two is none.
  return bytes
    .subarray(-most_bytes)
    .toString('utf8')
    .replace(/^\ufffd+/, '');
}

/** @throws from `write`: NoSuchInput, and what the store throws. */
export function uploadsOf({ files: store }: { files: FileStore }, files: CodeInput[]): Upload[] {
  const names = inputNames(files);
  return files.map(({ file_id, name }, index) => ({
    name: names[index]!,
    write: async (path) => {
      const content = await store.open(file_id).catch((error: unknown) => {
        throw error instanceof NoSuchFile ? new NoSuchInput(`the file ${name} is not there any more.`) : error;
      });
      const readable = Readable.fromWeb(content as Parameters<typeof Readable.fromWeb>[0]);
      await pipeline(readable, createWriteStream(path, { flags: 'wx', mode: 0o644 }));
    },
  }));
}
