/** What one document may be, and its base. What is beyond it ends as `failed`, with the number. */

/** Of a document. */
export const maxPages = 2_000;
/** What is read of it, in characters. */
export const maxTextLength = 10_000_000;
export const maxChunks = 20_000;

/** Of a base, all of its documents together. */
export const maxChunksOfBase = 200_000;

/** For taking the text out of a file, in milliseconds. */
export const extractionTimeout_ms = 120_000;
/** What that may take of memory, in MiB. */
export const extractionMemory_mb = 384;

/** In one request. */
export const maxFilesAtOnce = 10;

/** Of a model's vectors. */
export const maxDimensions = 4_096;
