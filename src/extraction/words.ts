/**
 * The words of a text, as it is found by: without case, accents and signs, so that no parser of PostgreSQL makes something else
 * of them. What is written together of several (`node.js`, `state-of-the-art`, `/api/v1/runs`, `max_turns`, `startRun`) is found by each
 * of its parts, and by all of them together.
 */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  const plain = text.normalize('NFKD').replaceAll(/\p{M}+/gu, '');
  for (const [compound] of plain.matchAll(/[\p{L}\p{N}]+(?:[-._/:@'’+&#]+[\p{L}\p{N}]+)*/gu)) {
    const parts = compound
      .replaceAll(/(\p{Ll})(\p{Lu})/gu, '$1 $2')
      .split(/[^\p{L}\p{N}]+/u)
      .flatMap(withoutSpaces);
    words.push(...parts);
    const glued = parts.length > 1 && parts.length <= 8 ? parts.join('') : '';
    if (glued && glued.length <= longest && !isOfSigns(glued)) words.push(glued);
  }
  return words.map((word) => word.toLowerCase().slice(0, longest)).filter(Boolean);
}

/** What is longer is no word that anybody types. */
const longest = 60;

const signs = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/u;

function isOfSigns(word: string): boolean {
  return signs.test(word);
}

/** Scripts that have no spaces between words are found by each two signs that stand together. */
function withoutSpaces(word: string): string[] {
  if (!isOfSigns(word)) return [word];
  const all = Array.from(word);
  return all.length === 1 ? all : all.slice(1).map((sign, index) => all[index]! + sign);
}
