import { endsCompound, isSameWord } from './word-forms.ts';
import { fold, readWords, standsIn } from './words.ts';

/**
 * True when all words of the gate stand in the title, in any form and order: "contract review" in "Review the contracts".
 * In every script, and also as the last part of a compound: "Freigabe" in "Rechtsfreigabe einholen".
 */
export function matchesGate(gate: string, title: string): boolean {
  const asked = readWords(gate);
  const said = readWords(title);
  if (asked.words.length === 0) return false;
  if (standsIn(said, asked.joined)) return true;
  return withoutSmallWords(asked.words).every(
    (part) => standsIn(said, part) || said.words.some((word) => isFormOf(part, word) || endsCompound(part, word)),
  );
}

function isFormOf(part: string, word: string): boolean {
  return formsOf(part).some((one) => formsOf(word).some((other) => isSameWord(one, other)));
}

/** What Arabic and Hebrew write before a word as one with it: the article, and words like "and", "in" and "to". */
const before = [/^[وف]?(?:[بك]?ال|لل)/u, /^[وبل]/u, /^[והבלמשכ]/u, /^[והבלמשכ]{2}/u];

function formsOf(word: string): string[] {
  return [word, ...before.map((part) => word.replace(part, '')).filter((rest) => rest !== word && rest.length >= 3)];
}

const smallWords = new Set(
  [
    'a an and by for from in of on our the their to with und der die das den dem des ein eine einer eines von vom zur zum für',
    'de het een van et le la les l du d un une par pour y el los las del una por para il lo gli di della e o os as do da dos',
    'и в на с по для от та і και το του της το の を は が に と や 的 之 和 与 و في من',
  ]
    .join(' ')
    .split(' ')
    .map(fold),
);

/** All of them when there are no others. */
function withoutSmallWords(words: string[]): string[] {
  const others = words.filter((word) => !smallWords.has(word));
  return others.length > 0 ? others : words;
}
