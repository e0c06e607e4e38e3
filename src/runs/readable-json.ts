/** With its indents JSON is at most so long, in characters: what nests deep is many times as long with them. */
const longest = 20_000;

/** A value as JSON that people and models read: a line for each member, where that is not long. */
export function readableJson(value: unknown): string {
  const short = JSON.stringify(value);
  if (short.length > longest) return short;
  const indented = JSON.stringify(value, null, 2);
  return indented.length > longest ? short : indented;
}
