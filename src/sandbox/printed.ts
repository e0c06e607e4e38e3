import { StringDecoder } from 'node:string_decoder';
import type { Printed } from './job.ts';

/** What a job prints, up to a bound. */

/** So many times what is kept may be printed. */
const mostFloods = 16;

type Keeping = {
  kept_bytes: number;
  keeps: 'beginning' | 'end';
  onText?: (text: string) => void;
  onCut?: () => void;
};

/** `add` returns false when so much was printed that the job is to be ended. */
export function keepPrinted({ kept_bytes, keeps, onText, onCut }: Keeping) {
  const chunks: Buffer[] = [];
  const decoder = new StringDecoder('utf8');
  let kept = 0;
  let all = 0;

  function add(chunk: Buffer): boolean {
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
    return all <= kept_bytes * mostFloods;
  }

  function printed(): Printed {
    const bytes = Buffer.concat(chunks);
    const part = keeps === 'beginning' ? bytes.subarray(0, kept_bytes) : bytes.subarray(-kept_bytes);
    // A character that was cut in two is no character; and PostgreSQL keeps no NUL.
    const text = part.toString('utf8').replace(/^\ufffd+|\ufffd+$/g, all > kept_bytes ? '' : '\ufffd');
    return { text: text.replaceAll('\0', '\ufffd'), is_cut: all > kept_bytes };
  }

  return { add, printed };
}
