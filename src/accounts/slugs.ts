/** An account is an organisation too, and its slug is the first segment of the paths of its agents: `/acme/scanner/v1/run`. */

/** What a slug may be made of. */
export const slugPattern = /^[a-z0-9][a-z0-9-]{0,63}$/;

/**
 * The first segments of the house's own paths, those to come as well: no account can have one as its slug. A test holds them
 * against the routes of the app.
 */
export const reservedSlugs = new Set([
  'admin',
  'agents',
  'api',
  'api-keys',
  'app',
  'assets',
  'auth',
  'billing',
  'codec',
  'docs',
  'environments',
  'health',
  'knowledge',
  'messages',
  'metrics',
  'oauth',
  'org',
  'orgs',
  'problems',
  'public',
  'runs',
  'schedules',
  'secrets',
  'security',
  'services',
  'static',
  'storage',
  'system',
  'tasks',
  'traces',
  'usage',
  'users',
  'v1',
  'v2',
  'webhooks',
  'workspaces',
  'www',
]);

/** So many letters of a name, so that there is room behind it. */
const mostOfName = 48;

/** The slugs that a new account may have, the best first: its name, then with letters behind it that nobody else has. */
export function slugsFor(name: string, random: () => string): string[] {
  const plain = name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, mostOfName)
    .replaceAll(/^-+|-+$/g, '');
  const others = [1, 2].map(() => `${plain || 'org'}-${random()}`);
  return isFreeSlug(plain) ? [plain, ...others] : others;
}

/** Whether it can be the slug of an account at all. */
export function isFreeSlug(slug: string): boolean {
  return slugPattern.test(slug) && !reservedSlugs.has(slug);
}
