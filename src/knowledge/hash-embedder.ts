import { createHash } from 'node:crypto';
import { wordsOf } from '../extraction/index.ts';

/**
 * Embeddings without a model, for who has no provider: each word of a text, and each three letters of it, add to a direction of
 * their own. So texts are near that share words, or parts of them; what is meant by others is not known (`is_semantic`).
 */
export const hashModel = 'hash-384';
export const hashDimensions = 384;

/** Too common to tell texts apart. */
const common = new Set(
  (
    'a an and are as at be been but by can could do does for from had has have how i if in into is it its may me my no not of on or our ' +
    'should so than that the their them then there these they this to was we were what when where which who why will with would you your'
  ).split(' '),
);

/** A word counts so much, and its parts together as much as that. */
const wholeWord = 1;
const ofParts = 0.6;

export function hashVector(text: string): Float32Array {
  const counts = new Map<string, number>();
  for (const word of wordsOf(text)) {
    if (!common.has(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const vector = new Float32Array(hashDimensions);
  for (const [word, count] of counts) {
    const weight = 1 + Math.log(count);
    add(vector, word, wholeWord * weight);
    const parts = partsOf(word);
    for (const part of parts) add(vector, part, (ofParts * weight) / Math.sqrt(parts.length));
  }
  // Of a text without words: any direction is as good.
  if (counts.size === 0) vector[0] = 1;
  return vector;
}

/** The beginning, the end and each three letters of a word. */
function partsOf(word: string): string[] {
  const framed = `<${word}>`;
  return Array.from({ length: Math.max(framed.length - 2, 0) }, (_, at) => `#${framed.slice(at, at + 3)}`);
}

const known = new Map<string, [place: number, sign: number]>();
const mostKnown = 50_000;

function add(vector: Float32Array, feature: string, weight: number): void {
  let place = known.get(feature);
  if (!place) {
    const hash = createHash('sha256').update(feature).digest();
    place = [hash.readUInt32LE(0) % hashDimensions, hash[4]! & 1 ? 1 : -1];
    if (known.size >= mostKnown) known.clear();
    known.set(feature, place);
  }
  vector[place[0]]! += place[1] * weight;
}
