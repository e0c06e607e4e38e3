/** What one document may be. What is beyond it cannot be read, and its reader is told the number. */

export const maxPages = 2_000;
/** What is read of it, in characters. */
export const maxTextLength = 10_000_000;
export const maxChunks = 20_000;

/** For taking the text out of a file, in milliseconds. */
export const extractionTimeout_ms = 120_000;
/** What that may take of memory, in MiB. */
export const extractionMemory_mb = 384;
