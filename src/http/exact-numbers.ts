import { InvalidInputError, type FieldFault, type Path } from '../errors.ts';

/** Numbers of JSON that would be others once they are read: JavaScript has whole ones up to 2^53, and none beyond about 1.8e308. */

/** Such a number may be in a text only where this is: long before its point, or with an exponent. Ids have the like, but in strings. */
const isSuspect = /(?:^|[[,:])\s*-?(?:\d{16}|[\d.]+[eE])/;
const mostNamed = 20;

const inexact = Symbol('inexact');

/** Throws `InvalidInputError`, naming each number of this JSON that would not be kept as it was sent. Of text that is no JSON it says nothing. */
export function requireExactNumbers(json: string, path: Path): void {
  if (!isSuspect.test(json)) return;
  let hasAny = false;
  const mark = (...[, value, context]: [key: string, value: unknown, context?: { source: string }]) => {
    if (typeof value !== 'number' || isKept(value, context!.source)) return value;
    hasAny = true;
    return inexact;
  };
  let marked: unknown;
  try {
    marked = JSON.parse(json, mark);
  } catch {
    return;
  }
  if (hasAny) throw new InvalidInputError(faultsIn(marked, path).slice(0, mostNamed));
}

/** Fractions are what is nearest to them, everywhere. */
function isKept(value: number, source: string): boolean {
  if (!Number.isFinite(value)) return false;
  return Number.isSafeInteger(value) || !/^-?\d+$/.test(source) || BigInt(value) === BigInt(source);
}

function faultsIn(value: unknown, path: Path): FieldFault[] {
  if (value === inexact) return [{ path, detail: 'must be a number that is not rounded: send it as a text' }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    faultsIn(part, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}
