/** What a base may be. What is beyond it ends as `failed`, with the number, as what is too much of one document does (src/extraction/bounds.ts). */

/** Of a base, all of its documents together. */
export const maxChunksOfBase = 200_000;

/** In one request. */
export const maxFilesAtOnce = 10;

/** Of a model's vectors. */
export const maxDimensions = 4_096;
