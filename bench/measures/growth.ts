import { render } from '../../activities/state.ts';
import { readBlocks } from '../../src/llm/blocks.ts';
import { scrub } from '../../src/llm/failures.ts';
import { jsonValues } from '../../src/llm/json.ts';
import { withoutThoughts } from '../../src/llm/thoughts.ts';
import { fitToolSchema } from '../../src/llm/tool-schema.ts';
import { matchesGate } from '../../src/runs/gate-words.ts';
import { readWords } from '../../src/runs/words.ts';
import { plain } from '../../workflows/contract/markdown.ts';
import { ms, type Row } from '../table.ts';

/**
 * What reads texts and schemas of tenants in a thread that all share, each with what is hardest for it: beginnings that
 * never end, references that lead to each other.
 */
const readers: { what: string; prepare: (size: number) => () => unknown }[] = [
  ofTexts('extract_json, brackets', '{"[', jsonValues),
  ofTexts('extract_json, fences', '```\n', jsonValues),
  ofTexts('templates', '{state.a.', (text) => render(text, { a: 'x' }, Infinity)),
  ofTexts('thoughts of models', '<think>', (text) => withoutThoughts(text)),
  ofTexts('blocks of prompts', '<block ', readBlocks),
  ofTexts('errors of vendors', 'Bearer sk-', (text) => scrub(text, { api_key: 'sk-canary' })),
  ofTexts('words of titles', 'Änderung ', readWords),
  ofTexts('gates that match a title', 'sign off ', (text) => matchesGate('sign the report off', text)),
  ofTexts('Markdown', '_&#$-', plain),
  {
    what: 'schemas of tools',
    prepare(size) {
      const schema = linkedSchema(size);
      return () => fitToolSchema(schema);
    },
  },
];
const sizes = [10_000, 100_000, 1_000_000, 10_000_000];
/** Ten times as much may take so many times as long: what looks at all of it for each part takes a hundred. */
const most = 50;

/** How time grows from 10 kB to 10 MB. Limits refuse most of that long before; what is refused in the reader itself is in. */
export function growth(): Promise<Row[]> {
  const rows = readers.map(({ what, prepare }) => {
    prepare(sizes[0]!)();
    const times = sizes.map((size) => {
      const read = prepare(size);
      const start = performance.now();
      read();
      return performance.now() - start;
    });
    const ratio = times.at(-1)! / times.at(-2)!;
    const bar = `≤ ${most} x for the last ten`;
    return { what: `${what}, 10 kB to 10 MB`, orchflow: times.map(ms).join(', '), bar, holds: ratio <= most };
  });
  return Promise.resolve(rows);
}

function ofTexts(what: string, unit: string, read: (text: string) => unknown) {
  const prepare = (size: number) => {
    const text = unit.repeat(Math.ceil(size / unit.length));
    return () => read(text);
  };
  return { what, prepare };
}

/** About so many characters of definitions, each of which refers to the next one twice. */
function linkedSchema(size: number) {
  const refer = (n: number) => ({ properties: { a: { $ref: `#/$defs/d${n}` }, b: { $ref: `#/$defs/d${n}` } } });
  const length = Math.ceil(size / 70);
  const $defs = Object.fromEntries(Array.from({ length }, (_, n) => [`d${n}`, refer(n + 1)]));
  return { type: 'object', ...refer(0), $defs };
}
