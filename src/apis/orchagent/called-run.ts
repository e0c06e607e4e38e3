import { findCalledRun, type CalledRun } from '../../../db/called-runs.ts';
import { notFound } from '../../errors.ts';
import type { AppEnv } from '../../http/env.ts';
import { runIdOf } from '../../ids.ts';
import { requireWorkspace } from './workspace.ts';

/** Lists say how many there are up to this. */
export const mostCounted = 1_000;

/** Throws `NOT_FOUND` for another workspace, and a run that is no call in it. */
export async function getCall(
  { deps, principal }: AppEnv['Variables'],
  { workspace_id, run_id }: { workspace_id: string; run_id: string },
  what: 'Run' | 'Trace' = 'Run',
): Promise<CalledRun> {
  requireWorkspace(principal, workspace_id);
  const id = runIdOf(run_id);
  const call = id === undefined ? undefined : await findCalledRun(deps.db, principal.account_id, id);
  if (!call) throw notFound(what);
  return call;
}
