import type { ServerSentEvent } from '../../http/sse.ts';

/** More than these are counted, and not named. */
const maxNamed = 20;

/** A warning for each member of a body that is none of these fields: it was not refused, and changes nothing. */
export function warningsOfIgnored(body: unknown, fields: object): string[] {
  const ignored = Object.keys(body as object).filter((name) => !Object.hasOwn(fields, name));
  const warnings = ignored.slice(0, maxNamed).map((name) => `\`${shown(name)}\` is not a field of this request.`);
  const more = ignored.length - warnings.length;
  return more > 0 ? [...warnings, `Nor are ${more} more members.`] : warnings;
}

/** Postgres keeps it, and somebody reads it. */
function shown(name: string): string {
  return name
    .slice(0, 64)
    .replaceAll(/\p{Cc}/gu, '')
    .toWellFormed();
}

/** Tells them as the first event of a stream, where there are any. */
export async function* afterWarnings(
  run_id: string,
  warnings: string[],
  events: AsyncIterable<ServerSentEvent | null>,
): AsyncGenerator<ServerSentEvent | null> {
  if (warnings.length > 0) yield { data: { type: 'warning', run_id, warnings } };
  yield* events;
}
