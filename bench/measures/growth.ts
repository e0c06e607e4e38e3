import { render } from '../../activities/state.ts';
import { readBlocks } from '../../src/llm/blocks.ts';
import { scrub } from '../../src/llm/failures.ts';
import { jsonValues } from '../../src/llm/json.ts';
import { withoutThoughts } from '../../src/llm/thoughts.ts';
import { readWords } from '../../src/runs/words.ts';
import { plain } from '../../workflows/contract/markdown.ts';
import { ms, type Row } from '../table.ts';

/** What reads texts of tenants in a thread that all share, each with beginnings that never end. */
const readers: { what: string; unit: string; read: (text: string) => unknown }[] = [
  { what: 'extract_json, brackets', unit: '{"[', read: jsonValues },
  { what: 'extract_json, fences', unit: '```\n', read: jsonValues },
  { what: 'templates', unit: '{state.a.', read: (text) => render(text, { a: 'x' }, Infinity) },
  { what: 'thoughts of models', unit: '<think>', read: (text) => withoutThoughts(text) },
  { what: 'blocks of prompts', unit: '<block ', read: readBlocks },
  { what: 'errors of vendors', unit: 'Bearer sk-', read: (text) => scrub(text, { api_key: 'sk-canary' }) },
  { what: 'words of titles', unit: 'Änderung ', read: readWords },
  { what: 'Markdown', unit: '_&#$-', read: plain },
];
const sizes = [10_000, 100_000, 1_000_000, 10_000_000];
/** Ten times the text may take so many times as long: what looks at all of it for each part takes a hundred. */
const most = 50;

/** How time grows from 10 kB to 10 MB. */
export function growth(): Promise<Row[]> {
  const rows = readers.map(({ what, unit, read }) => {
    const texts = sizes.map((size) => unit.repeat(Math.ceil(size / unit.length)));
    read(texts[0]!);
    const times = texts.map((text) => {
      const start = performance.now();
      read(text);
      return performance.now() - start;
    });
    const ratio = times.at(-1)! / times.at(-2)!;
    const bar = `≤ ${most} x for the last ten`;
    return { what: `${what}, 10 kB to 10 MB`, orchflow: times.map(ms).join(', '), bar, holds: ratio <= most };
  });
  return Promise.resolve(rows);
}
