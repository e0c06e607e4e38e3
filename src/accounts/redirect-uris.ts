import type { OAuthClient } from '../../db/schema.ts';
import type { FieldFault } from '../errors.ts';

/**
 * Where an authorization code may be sent: an https address; on the machine of the one who consents also plain http, on any port
 * (https://www.rfc-editor.org/rfc/rfc8252#section-7.3), and, to apps, a scheme of their own, by a domain turned round
 * (https://www.rfc-editor.org/rfc/rfc8252#section-7.1).
 */

const loopbacks = new Set(['localhost', '127.0.0.1', '[::1]']);
const ownScheme = /^[a-z][a-z\d+-]*(\.[a-z\d+-]+)+:$/;

/** Whether it is an app on a device: one whose address cannot be its alone. */
export function isNative({ type, redirect_uris }: Pick<OAuthClient, 'type' | 'redirect_uris'>): boolean {
  return type === 'public' && redirect_uris.some((uri) => URL.parse(uri)?.protocol !== 'https:');
}

/** What is wrong with the addresses of a client, each at its place. */
export function redirectFaults(type: OAuthClient['type'], redirect_uris: string[]): FieldFault[] {
  const native = isNative({ type, redirect_uris });
  return redirect_uris.flatMap((uri, index) => {
    const detail = faultOf(uri, type, native);
    return detail === undefined ? [] : [{ path: ['redirect_uris', index], detail }];
  });
}

function faultOf(uri: string, type: OAuthClient['type'], native: boolean): string | undefined {
  const { protocol, hostname, username, password } = URL.parse(uri) ?? {};
  if (protocol === undefined || hostname === undefined) return 'must be a URL';
  if (uri.includes('#')) return 'must not have a fragment (#…)';
  if (username || password) return 'must not carry a user name or password';
  const isLoopback = loopbacks.has(hostname);
  if (protocol === 'https:') {
    return native && isLoopback ? 'must be http on a loopback address, as the others are of an app' : undefined;
  }
  if (protocol === 'http:') return isLoopback ? undefined : 'must be https, unless it is on localhost or 127.0.0.1';
  if (type === 'public' && ownScheme.test(protocol)) return undefined;
  return 'must be https, http on localhost or 127.0.0.1, or, of a public client, a scheme such as com.example.app:/callback';
}
