/** How the text of a document is cut into passages. */

/** A part of a document as it was read: a page of it, or all. `rows`: each line is a row of a table whose columns it names. */
export type Section = { page: number | null; text: string; form: 'markdown' | 'plain' | 'rows' };

/** `heading` is where it stands: the headings above it. */
export type Passage = { page: number | null; heading: string | null; text: string };

/** In characters: what a passage is filled up to, below which a heading does not begin a new one, and what is said again of the one before. */
const full = 1_200;
const small = 300;
const overlap = 160;
const longestHeading = 200;

/** What stays together, if it can. A row of a table knows the lines at the head of the table. */
type Unit = { text: string; heading: string | null; head?: string; isHeading?: boolean };

/** The passages of a section, in their order. */
export function* cut({ page, text, form }: Section): Generator<Passage> {
  let units: Unit[] = [];
  let length = 0;
  for (const unit of unitsOf(text, form)) {
    const isFull = length > 0 && length + unit.text.length > full;
    if (isFull || (unit.isHeading && length >= small)) {
      // A heading at the end belongs to what comes.
      const carried = !unit.isHeading && units.length > 1 && units.at(-1)!.isHeading ? [units.pop()!] : [];
      yield passageOf(units, page);
      units = [...carried, ...(carried.length > 0 ? [] : saidAgain(units, unit)), ...headOf(unit)];
      length = units.reduce((sum, one) => sum + one.text.length + 1, 0);
    }
    units.push(unit);
    length += unit.text.length + 1;
  }
  if (units.some((unit) => !unit.isHeading)) yield passageOf(units, page);
}

function passageOf(units: Unit[], page: number | null): Passage {
  const said = units.find((unit) => !unit.isHeading) ?? units[0]!;
  return { page, heading: said.heading, text: units.map((unit) => unit.text).join('\n') };
}

/** The end of what came before, where it is the same matter. */
function saidAgain(units: Unit[], { heading, head, isHeading }: Unit): Unit[] {
  const last = units.at(-1)!;
  if (isHeading || head !== undefined || last.head !== undefined || last.heading !== heading) return [];
  if (last.text.length <= overlap) return [last];
  const sentence = last.text.slice(-overlap).search(/[.!?。！？]\s/u);
  return sentence < 0 ? [] : [{ ...last, text: last.text.slice(sentence - overlap + 1).trim() }];
}

/** A table that goes on has its head again. */
function headOf({ head, heading }: Unit): Unit[] {
  return head ? [{ text: head, heading, head: '' }] : [];
}

function* unitsOf(text: string, form: Section['form']): Generator<Unit> {
  if (form === 'rows') {
    for (const line of text.split('\n')) yield* pieces({ text: line, heading: null, head: '' });
    return;
  }
  const headings: string[] = [];
  let paragraph: string[] = [];
  let table: string[] = [];
  let isCode = false;
  const heading = () => headings.filter(Boolean).join(' › ').slice(0, longestHeading).toWellFormed() || null;
  function* flush(): Generator<Unit> {
    if (paragraph.length > 0) yield* pieces({ text: paragraph.join('\n'), heading: heading() });
    if (table.length > 0) yield* rowsOf(table, heading());
    paragraph = [];
    table = [];
  }
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd();
    if (form === 'markdown' && /^\s*(```|~~~)/.test(line)) isCode = !isCode;
    const title = form === 'markdown' && !isCode ? /^(#{1,6})\s+(.+?)\s*#*$/.exec(line) : null;
    const isRow = form === 'markdown' && !isCode && /^\s*\|.*\|$/.test(line);
    if (title) {
      yield* flush();
      headings.length = title[1]!.length - 1;
      headings[title[1]!.length - 1] = title[2]!;
      yield* pieces({ text: line, heading: heading(), isHeading: true });
    } else if (isRow) {
      if (paragraph.length > 0) yield* flush();
      // Columns that are drawn to a width say no more.
      table.push(line.trim().replaceAll(/-{3,}/g, '---'));
    } else if (line === '' && !isCode) yield* flush();
    else {
      if (table.length > 0) yield* flush();
      // A page of a PDF has no empty lines, and a table there is lines.
      if (form === 'plain') yield* pieces({ text: line.trim(), heading: null });
      else paragraph.push(line);
    }
  }
  yield* flush();
}

/** Rows of Markdown: the first is the head when a line of dashes follows. */
function* rowsOf(lines: string[], heading: string | null): Generator<Unit> {
  const hasHead = /^\|[\s:|-]+\|$/.test(lines[1] ?? '');
  const head = hasHead ? lines.slice(0, 2).join('\n') : '';
  if (hasHead) yield { text: head, heading, head: '' };
  for (const line of lines.slice(hasHead ? 2 : 0)) yield* pieces({ text: line, heading, head });
}

/** What is longer than a passage is cut after sentences, else between words, else anywhere. */
function* pieces(unit: Unit): Generator<Unit> {
  let rest = unit.text.trim();
  while (rest.length > full) {
    const beginning = rest.slice(0, full);
    const sentence = Math.max(
      ...['. ', '! ', '? ', '.\n', '。', '！', '？', '\n'].map((end) => beginning.lastIndexOf(end)),
    );
    const space = beginning.lastIndexOf(' ');
    const at = sentence > full / 3 ? sentence + 1 : space > full / 3 ? space : wholeLetters(rest, full);
    yield { ...unit, text: rest.slice(0, at).trim() };
    rest = rest.slice(at).trim();
  }
  if (rest) yield { ...unit, text: rest };
}

/** Not between the halves of a character. */
function wholeLetters(text: string, at: number): number {
  return /[\uD800-\uDBFF]/.test(text[at - 1]!) ? at - 1 : at;
}
