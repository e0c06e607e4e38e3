/** A delimited part of a prompt, as `activities/prompts` writes them. */
export type Block = { tag: string; attributes: Record<string, string>; text: string };

const BLOCK = /^<([a-z_]+)((?: [a-z_]+="[^"]*")*)>\n?([\s\S]*?)\n?<\/\1>$/gm;

/** The blocks of a prompt in order. What looks like a block inside another one is that one's text. */
export function readBlocks(prompt: string): Block[] {
  return [...prompt.matchAll(BLOCK)].map(([, tag, attributes, text]) => ({
    tag: tag!,
    attributes: Object.fromEntries(
      [...attributes!.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    ),
    text: text!,
  }));
}
