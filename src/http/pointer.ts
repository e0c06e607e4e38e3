/** A JSON Pointer (RFC 6901) to a place in the request; the empty one is the whole body. */
export function pointer(path: PropertyKey[]): string {
  return path.map((part) => `/${String(part).toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
