/** Pure: texts for the panels of the Temporal Web UI, which reads them as Markdown. */

/**
 * A text on one line that Markdown shows as it is, whoever wrote it. The Web UI (2.42.1) reads GitHub's Markdown, HTML,
 * mathematics between two `$`, which money is, and `--`, `...` and `(c)` as what printers set for them. It sets quotes and
 * fractions too, whatever is done, and takes `\@` and `\"` as they stand: those are left.
 */
export function plain(text: string): string {
  return escapeUnderscores(
    text
      .replaceAll(/\s+/g, ' ')
      .trim()
      .replaceAll(/[\\`*{}[\]<|$~]/g, String.raw`\$&`),
  )
    .replaceAll(/&(?=#?\w+;)/g, String.raw`\&`)
    .replaceAll(/:(?=\/\/)|(?<=\bwww)\.|\((?=(?:c|r|tm)\))/gi, String.raw`\$&`)
    .replaceAll(/-{2,}|\.{2,}/g, (run) => run.replaceAll(/./g, String.raw`\$&`))
    .replace(/^[-+=>#]/, String.raw`\$&`)
    .replace(/^\d{1,9}(?=[.)])/, '$&\\');
}

/** Made once: the bundle of the workflows writes the classes out, as 27 kB (`findings/a-class-that-is-written-out.sh`). */
let loneUnderscore: RegExp | undefined;

function escapeUnderscores(text: string): string {
  if (!text.includes('_')) return text;
  loneUnderscore ??= /(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu;
  return text.replaceAll(loneUnderscore, String.raw`\_`);
}

/** Data that can be copied as it is: nothing in a block of code means anything, and JSON has no line breaks of its own. */
export function jsonBlock(value: unknown): string {
  return ['```json', JSON.stringify(value), '```'].join('\n');
}
