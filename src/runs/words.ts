/** The words of a text in any script, told apart where no spaces stand, and alike whatever their case and width. */

/** `joined` is all words without what stands between them, so that "sign-off" is "signoff"; `ends` are where one begins or ends. */
export type Words = { words: string[]; joined: string; ends: Set<number> };

export function readWords(text: string): Words {
  const words = split(text).map(fold).filter(Boolean);
  const ends = new Set([0]);
  let length = 0;
  for (const word of words) ends.add((length += word.length));
  return { words, joined: words.join(''), ends };
}

/** True where the part stands from the beginning of a word to the end of one: 京都 does not stand in 東京都. */
export function standsIn({ joined, ends }: Words, part: string): boolean {
  for (let at = joined.indexOf(part); at >= 0; at = joined.indexOf(part, at + 1)) {
    if (ends.has(at) && ends.has(at + part.length)) return true;
  }
  return false;
}

const segmenter = new Intl.Segmenter('en', { granularity: 'word' });
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

function split(text: string): string[] {
  const runs = normalize(text).match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  return runs.flatMap((run) =>
    unspaced.test(run) ? [...segmenter.segment(run)].map(({ segment }) => segment) : [run],
  );
}

/** Full and half width are one. Thai and Lao are left as they are: the segmenter does not know their letters taken apart. */
function normalize(text: string): string {
  return text
    .replaceAll(/\u00ad|\u200d|\u2060|\ufeff/g, '')
    .replaceAll(/[^\u0e00-\u0eff]+/g, (rest) => rest.normalize('NFKC'));
}

/** Each letter with what it is written as. */
const sameLetters = new Map(
  'ßss ıi łl øo đd æae œoe ςσ ךכ םמ ןנ ףפ ץצ أا إا آا ٱا ىي یي کك ةه'
    .split(' ')
    .map(([letter = '', ...same]) => [letter, same.join('')]),
);

/** A word whatever its case, and without signs that are only sometimes written: the dot of İ, vowels of Arabic and Hebrew. */
export function fold(word: string): string {
  return word
    .toLowerCase()
    .replaceAll(/[\u0307\u0591-\u05c7\u0640\u064b-\u065f\u0670\u093c]/g, '')
    .replaceAll(/./gu, (letter) => sameLetters.get(letter) ?? letter);
}

/** Each letter as it is without its accents. */
export function plain(text: string): string {
  return text
    .normalize('NFD')
    .replaceAll(/[\u0300-\u036f]/g, '')
    .normalize('NFC');
}
