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
