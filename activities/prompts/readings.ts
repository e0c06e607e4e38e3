import { isObject } from '../../src/llm/index.ts';

/**
 * What models write where a text, a flag or a number was asked for, by its plain meaning: the one on which all who read
 * it would agree. Undefined where there is none.
 */

/** What two spellings have in common: `depends_on`, `dependsOn` and "Depends on" are one. */
export function plain(text: string): string {
  // As nearly all are written.
  if (/^\w*$/.test(text)) return text.toLowerCase().replaceAll('_', '');
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}]+/gu, '');
}

/** The member of an object that has the first of these names, however it is spelt; one that is null only if there is no other. */
export function memberOf(value: unknown, ...names: string[]): unknown {
  if (!isObject(value)) return undefined;
  const members = new Map(Object.entries(value).map(([name, member]) => [plain(name), member]));
  const named = names.map((name) => members.get(plain(name))).filter((member) => member !== undefined);
  return named.find((member) => member !== null) ?? named[0];
}

/** A text that says something. A list is read as its lines, an object as a line for each member. */
export function textOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return linesOf(value.map(scalarOf));
  if (!isObject(value)) return scalarOf(value);
  return linesOf(Object.entries(value).map(([name, member]) => scalarOf(member) && `${name}: ${scalarOf(member)}`));
}

/** The same of something that has a name: of several the first one, of an object its name. */
export function nameOf(value: unknown): string | undefined {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  return scalarOf(isObject(one) ? memberOf(one, 'name', 'label', 'title', 'id') : one);
}

function scalarOf(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? value.trim() || undefined : undefined;
}

function linesOf(lines: (string | undefined)[]): string | undefined {
  return lines.filter((line) => line !== undefined).join('\n') || undefined;
}

const yes = new Set(
  (
    'true 1 yes ok okay pass passed accept accepted approve approved valid ja wahr bestanden oui vrai sí si verdadero sim ' +
    'verdadeiro vero tak prawda evet doğru да истина 是 真 通过 合格 はい 예 네'
  ).split(' '),
);
const no = new Set(
  (
    'false 0 no not fail fails failed notpassed notpass didnotpass doesnotpass reject rejected notaccepted notapproved ' +
    'invalid nein falsch nichtbestanden non faux falso não nao nie hayır нет ложь 否 不 假 不通过 未通过 不合格 いいえ 아니요 아니오'
  ).split(' '),
);

export function flagOf(value: unknown): boolean | undefined {
  const word = plain(scalarOf(value) ?? '');
  if (yes.has(word)) return true;
  return no.has(word) ? false : undefined;
}

/** A number from 0 to 1, which may be written as a text, as "80%" or as "8/10". What another scale means cannot be told. */
export function fractionOf(value: unknown): number | undefined {
  const [, number, percent, whole = '1'] =
    /^([\d.,]{1,20})\s?(?:(%)|\/\s?(\d{1,9}))?$/.exec(scalarOf(value) ?? '') ?? [];
  const fraction = Number(number?.replace(',', '.')) / (percent ? 100 : Number(whole));
  return fraction >= 0 && fraction <= 1 ? fraction : undefined;
}

/** At most so many characters, and a sign that there were more. */
export function shorten(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
