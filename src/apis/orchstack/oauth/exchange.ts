import { AsyncLocalStorage } from 'node:async_hooks';

/** What one OAuth request is about: since when, and what has failed on our side, which oidc-provider answers itself. */
export const exchange = new AsyncLocalStorage<{ received: number; failure?: unknown }>();
