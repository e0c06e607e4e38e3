/** The milliseconds in `Server-Timing`, by their names. */
export function serverTiming(headers: Headers): { app?: number; wait?: number } {
  const parts = [...(headers.get('server-timing') ?? '').matchAll(/(\w+);dur=(\d+)/g)];
  return Object.fromEntries(parts.map(([, name, ms]) => [name, Number(ms)]));
}
