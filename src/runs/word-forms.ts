import { fold, plain } from './words.ts';

/**
 * Whether two words are one word in two forms, without knowing the language: a title of four words does not tell it, and a
 * stemmer that is chosen wrongly takes `reviewer` for `review`. So two words are one only when they begin alike and differ in
 * two endings of one family below.
 */

/** A family of endings; `-` is none. With `>`, the first of them alternates with each of the others, and they not with each other. */
type Family = { least: number; base: string | undefined; endings: Set<string> };

/** By how many letters a word must have at least before such an ending. Shorter ones would find other languages' words. */
const families: [least: number, ...endings: string[]][] = [
  // English
  [3, '- s', 'e es ed ing ings', 'y ies ied'],
  [4, '- s es ed ing ings', 'y ies ied ication ications', '- s ed ing ature atures'],
  [
    5,
    'e es ed ing al als',
    'e es ed ing ion ions',
    'e es ed ing ation ations',
    'e es ed ing is',
    '- s ed ing ment ments',
  ],
  [6, '- s ed ing ion ions', '- s ed ing ation ations'],
  // German and Dutch
  [3, 'lich liche lichen licher liches lichem', 'isch ische ischen ischer isches ischem'],
  [4, 'en ung ungen'],
  [5, '- e en es s', 'en ing ingen'],
  [6, '- e en n s'],
  // Danish, Norwegian and Swedish
  [3, 'else elsen elser elserne', 'ning ningen ningar ningarna ninger ningene'],
  [5, '- en et ens ets'],
  [6, '- n t a'],
  // French, Spanish, Portuguese, Italian and Romanian
  [3, 'al ale ales aux'],
  [4, 'o a os as', 'ao oes', 'a ar', 'al ais', 'a he', 'o hi', 'er ature atures'],
  [5, 'er ation ations', 'er ion ions', 'ar acion aciones', 'ar ion iones', 'ar acao acoes', 'are azione azioni'],
  [5, 'o a i', 'e i', 'e ea i ii ilor ile', '- > ul ului ui lui a i'],
  [6, 'a e'],
  // Polish, Czech, Slovak, Croatian and Slovenian; Lithuanian and Latvian
  [4, 'a > ę y u ej ie ami ach'],
  [5, 'a > y e i o u ou ie ej am om ami ach ama', 'e > a u em om ami ach', 'i > iho imu im ich imi ego iego iemu'],
  [5, 'y > ego eho emu ym ej a ych ymi ou', '- > u a em om ow owi ami ach', 'o > a u og oga om im e'],
  [5, 'as > o ui a u ai', 'is > ies i io'],
  [6, 's > a u am iem'],
  // Finnish and Hungarian
  [3, 'us > uksen uksia usta ukseen uksessa uksesta ukset', 'nta > ntaa nnan nnassa nnasta nnalla nnalle nnat'],
  [4, 'nen > sen sta seen set sena'],
  [6, '- > n a t ta tta ssa sta lla lta lle ksi na in en an iin aan een'],
  [6, '- > t ot et at ok ek ak nak nek ban ben ba be bol rol ra re hoz hez tol nal val vel ert as es i'],
  [5, '- > a e ja je anak enek ara ere aval evel arol erol'],
  // Turkish and Indonesian
  [4, '- > i u in un ini unu inin unun ina una nin nun yi yu si su lar ler lari leri larin lerin den dan de da nya'],
  [4, 'i ini inin ina inda indan', 'u unu unun una', 'si sini sinin sine sina'],
  [5, '- > e a ye ya le la ine une'],
  // Russian, Ukrainian and Bulgarian
  [
    3,
    '- а у ом ем е ы и ов ев ам ами ах',
    'а ы и у е ой ою ей ам ами ах -',
    'я и ю е ей ям ями ях',
    'е я ю ем и ям ями ях',
  ],
  [3, 'ый ий ой ого его ому ему ым им ом ем ая яя ую юю ое ее ые ие ых их ыми ими', 'ь я и ю ем ей ью ям ями ях'],
  [3, 'ий ого ому им ім а ої ій у ою е і их ими', '- у а ом ові і ів ам ами ах', 'а і у ою', 'я ю і ям'],
  [4, 'ать ание ания анию анием', 'дить ждение ждения ждению', 'ить ка ки ку кой', 'ити ження женню', 'увати ування'],
  [4, '- ът та то те ят'],
  // Greek
  [4, 'η ης εως εις εων ος ου ο οι ων ους α ας ες', 'μα ματος ματα ματων'],
  // Arabic and Persian, Hebrew
  [3, '- ه ات ين ون ان ا ي يه ها', 'ه ات ته تنا تهم تها تي ت', '- ה ים ות ת י ית יות', 'ה ת ות'],
  // Hindi and Bengali
  [3, '- ों ें े ा ी ाओं ियों ियाँ', '- ের র কে তে টি ে'],
  // Korean
  [2, '- 을 를 이 가 은 는 의 에 에서 에게 으로 로 와 과 도 후 전 시 용 하기 하다 한 할 된 받기 받는 받다 요청'],
];

/** Scripts with no family here: their words may differ in three letters at the end, behind five. */
const withoutFamilies =
  /^[\p{Script=Armenian}\p{Script=Georgian}\p{Script=Ethiopic}\p{Script=Gujarati}\p{Script=Gurmukhi}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Tamil}\p{Script=Telugu}]+$/u;

/** What looks like a form of another word and is not. */
const otherWords = listOf(
  'accounting apartment banking building cabinet clothing conception contraction customs department direction engineering ' +
    'evening foundation housing humane locale marketing morale morning news procession production schema statement wedding',
);

/** What before a word makes another word of it, and no compound. */
const prefixes = listOf(
  'anti auto com con contra cor counter dis ent infra inter intra mal mis non out over para per pre pro sub super sur trans ' +
    'under unter ver vor zer',
);

function listOf(list: string): Set<string> {
  return new Set(list.split(' '));
}

const familiesOf = new Map<string, Family[]>();
for (const [least, ...lists] of families) {
  for (const list of lists) {
    const endings = new Set([...listOf(list)].map((ending) => (ending === '-' ? '' : fold(ending))));
    const base = list.includes('>') ? [...endings][0] : undefined;
    endings.delete('>');
    const family = { least, base, endings };
    for (const ending of endings) familiesOf.set(ending, [...(familiesOf.get(ending) ?? []), family]);
  }
}
const longestEnding = Math.max(...[...familiesOf.keys()].map((ending) => ending.length));

/** True for `contract` and `contracts`, and not for `contract` and `contrast`. Of folded words. */
export function isSameWord(one: string, other: string): boolean {
  if (one === other) return true;
  if (otherWords.has(one)) return other === `${one}s`;
  if (otherWords.has(other)) return one === `${other}s`;
  const shared = sharedLength(one, other);
  if (shared === one.length && shared === other.length) return true;
  for (let least = shared; least >= Math.max(2, shared - longestEnding); least -= 1) {
    const [end, otherEnd] = [one.slice(least), other.slice(least)];
    if (isOneFamily(least, end, otherEnd) || isDoubled(one.slice(0, least), end, otherEnd)) return true;
  }
  return withoutFamilies.test(one) && shared >= 5 && Math.max(one.length, other.length) - shared <= 3;
}

/** With or without the accents that only one of them has. */
function isOneFamily(letters: number, one: string, other: string): boolean {
  return [one, plain(one)].some((end) =>
    [other, plain(other)].some((otherEnd) =>
      familiesOf
        .get(end)
        ?.some(
          ({ least, base, endings }) =>
            letters >= least && endings.has(otherEnd) && (base === undefined || base === end || base === otherEnd),
        ),
    ),
  );
}

/** "plan" and "planning". */
function isDoubled(stem: string, one: string, other: string): boolean {
  const longer = one || other;
  if (stem.length < 3 || (one && other)) return false;
  return ['ing', 'ings', 'ed'].some((ending) => longer === stem.at(-1) + ending);
}

/** How many letters two words begin with alike. An accent that only one of them has does not count: it comes and goes. */
function sharedLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && length < other.length && isSameLetter(one[length]!, other[length]!)) length += 1;
  return length;
}

function isSameLetter(one: string, other: string): boolean {
  if (one === other) return true;
  const [plainOne, plainOther] = [plain(one), plain(other)];
  return plainOne === plainOther && (one === plainOne || other === plainOther);
}

/**
 * True for `freigabe` and `rechtsfreigabe`: the last part of a compound says what it is. Of Latin words with seven letters or
 * more, as `legal` is no part of `illegal`, and of Korean ones. Those in -ing and -ion need nine: `position` is no part of
 * `composition`.
 */
export function endsCompound(part: string, word: string): boolean {
  const isKorean = /^\p{Script=Hangul}+$/u.test(part);
  if (!isKorean && !/^\p{Script=Latin}+$/u.test(part)) return false;
  const least = isKorean ? 2 : /(ing|ion)$/.test(part) ? 9 : 7;
  if (part.length < least) return false;
  for (let at = isKorean ? 2 : 3; at + least <= word.length; at += 1) {
    if (isSameWord(part, word.slice(at)) && !prefixes.has(plain(word.slice(0, at)))) return true;
  }
  return false;
}
