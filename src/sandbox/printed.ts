import { StringDecoder } from 'node:string_decoder';
import type { Printed } from './job.ts';

/** What a job prints, up to a bound. */

/** So many times what is kept may be printed. */
const mostFloods = 16;

type Keeping = {
  kept_bytes: number;
  keeps: 'beginning' | 'end';
  secrets?: string[] | undefined;
  onText?: (text: string) => void;
  onCut?: () => void;
};

/** `add` returns false when so much was printed that the job is to be ended. */
export function keepPrinted({ kept_bytes, keeps, secrets = [], onText, onCut }: Keeping) {
  const hide = createHiding(secrets);
  const chunks: Buffer[] = [];
  const decoder = new StringDecoder('utf8');
  let kept = 0;
  let all = 0;

  function take(chunk: Buffer): void {
    const room = kept_bytes - all;
    all += chunk.length;
    if (room >= 0 && all > kept_bytes) onCut?.();
    if (onText && room > 0) {
      const text = decoder.write(chunk.subarray(0, room));
      if (text) onText(text);
    }
    const part = keeps === 'beginning' ? chunk.subarray(0, Math.max(room, 0)) : chunk;
    if (part.length > 0) {
      chunks.push(part);
      kept += part.length;
    }
    while (kept - (chunks[0]?.length ?? 0) >= kept_bytes) kept -= chunks.shift()!.length;
  }

  function add(chunk: Buffer): boolean {
    take(hide.next(chunk));
    return all <= kept_bytes * mostFloods;
  }

  function printed(): Printed {
    take(hide.rest());
    const bytes = Buffer.concat(chunks);
    const part = keeps === 'beginning' ? bytes.subarray(0, kept_bytes) : bytes.subarray(-kept_bytes);
    // A character that was cut in two is no character; and PostgreSQL keeps no NUL.
    const text = part.toString('utf8').replace(/^\ufffd+|\ufffd+$/g, all > kept_bytes ? '' : '\ufffd');
    return { text: text.replaceAll('\0', '\ufffd'), is_cut: all > kept_bytes };
  }

  return { add, printed };
}

/** What is shorter is no secret, and would be found everywhere. */
const shortestSecret = 8;
const stars = '********';

/** A text without secrets. */
export function withoutSecrets(text: string, secrets: string[]): string {
  return longestFirst(secrets).reduce((left, secret) => left.replaceAll(secret, stars), text);
}

/** The same of what comes in parts: the end of one is held back as long as it may be the beginning of a secret. */
function createHiding(secrets: string[]) {
  // A byte each, since a part may begin in the middle of a character.
  const asBytes = longestFirst(secrets).map((secret) => Buffer.from(secret).toString('latin1'));
  let held = '';

  function beginningAtEnd(text: string): number {
    for (let size = Math.min(text.length, (asBytes[0]?.length ?? 1) - 1); size > 0; size -= 1) {
      const end = text.slice(-size);
      if (asBytes.some((secret) => secret.startsWith(end))) return size;
    }
    return 0;
  }

  return {
    next(chunk: Buffer): Buffer {
      if (asBytes.length === 0) return chunk;
      const text = asBytes.reduce((left, one) => left.replaceAll(one, stars), held + chunk.toString('latin1'));
      const at = text.length - beginningAtEnd(text);
      held = text.slice(at);
      return Buffer.from(text.slice(0, at), 'latin1');
    },
    rest(): Buffer {
      const rest = Buffer.from(held, 'latin1');
      held = '';
      return rest;
    },
  };
}

function longestFirst(secrets: string[]): string[] {
  return secrets.filter(({ length }) => length >= shortestSecret).toSorted((a, b) => b.length - a.length);
}
