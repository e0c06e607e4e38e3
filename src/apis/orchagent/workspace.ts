import { createMiddleware } from 'hono/factory';
import type { Principal } from '../../accounts/principal.ts';
import { notFound } from '../../errors.ts';
import type { AppEnv } from '../../http/env.ts';
import { uuidOf } from '../../ids.ts';

/** An account is one workspace, whose id is the account's as a UUID. */

/** Throws `NOT_FOUND` for another workspace than that of who asks. */
export function requireWorkspace({ account_id }: Principal, workspace_id: string): void {
  if (workspace_id.toLowerCase() !== uuidOf(account_id)) throw notFound('Workspace');
}

/** Clients name the workspace that they mean in a header. */
export function inOwnWorkspace() {
  return createMiddleware<AppEnv>(async function inOwnWorkspace(c, next) {
    const workspace_id = c.req.header('x-workspace-id');
    if (workspace_id) requireWorkspace(c.var.principal, workspace_id);
    await next();
  });
}
