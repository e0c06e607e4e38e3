import { tmpdir } from 'node:os';
import path from 'node:path';
import { createGuardedConnect } from '../fetch/index.ts';
import { createBubblewrap } from './bubblewrap.ts';
import { createDeno } from './deno.ts';
import { findEscapes } from './escapes.ts';
import type { Sandbox } from './job.ts';
import { takeWorkspace, type Workspace } from './workspace.ts';

/** Where code of people is run. */

export {
  SandboxFault,
  type Job,
  type Limits,
  type Outcome,
  type OutputFile,
  type Sandbox,
  type Upload,
} from './job.ts';
export { handOver } from './workspace.ts';
export { findEscapes } from './escapes.ts';
export { withoutSecrets } from './printed.ts';

export type SandboxSettings = {
  SANDBOX_DRIVER: 'auto' | 'bubblewrap' | 'deno' | 'none';
  SANDBOX_DIR?: string | undefined;
  SANDBOX_DENO?: string | undefined;
  SANDBOX_CGROUP?: string | undefined;
  SANDBOX_HOSTS: string[];
  SANDBOX_GATEWAY_URL?: string | undefined;
  ORCHFLOW_ALLOWED_PRIVATE_CIDRS: string[];
  PORT: number;
  inherited: Record<string, string | undefined>;
};

/** A sandbox that has held in all that was tried, with the folder of this process; or why there is none. */
export type Found = { sandbox: Sandbox; folder: string } | { reason: string };

/** Tries the drivers of this machine one after another; the first that lets nothing out is used. */
export async function findSandbox(settings: SandboxSettings): Promise<Found> {
  const { SANDBOX_DRIVER: wanted } = settings;
  if (wanted === 'none') return { reason: 'SANDBOX_DRIVER is none' };
  const root = settings.SANDBOX_DIR ?? path.join(tmpdir(), `orchflow-sandbox-${process.getuid?.() ?? 0}`);
  const gateway = new URL(settings.SANDBOX_GATEWAY_URL ?? `http://127.0.0.1:${settings.PORT}`);
  const network = {
    gateway: { host: gateway.hostname.replace(/^\[|\]$/g, ''), port: Number(gateway.port || 80) },
    allowed: settings.SANDBOX_HOSTS,
    connect: createGuardedConnect(settings.ORCHFLOW_ALLOWED_PRIVATE_CIDRS, 'ORCHFLOW_ALLOWED_PRIVATE_CIDRS'),
  };
  const drivers = {
    bubblewrap: (workspace: Workspace) => createBubblewrap({ workspace, cgroup: settings.SANDBOX_CGROUP, network }),
    deno: (workspace: Workspace) =>
      createDeno({ workspace, program: settings.SANDBOX_DENO, network, environment: settings.inherited }),
  };
  const reasons: string[] = [];
  for (const driver of wanted === 'auto' ? (['bubblewrap', 'deno'] as const) : [wanted]) {
    const workspace = await takeWorkspace(root);
    let sandbox: Sandbox | undefined;
    try {
      sandbox = await drivers[driver](workspace);
      const escapes = await findEscapes(sandbox, path.join(workspace.folder, 'escapes'), settings.inherited);
      if (escapes.length === 0) return { sandbox, folder: workspace.folder };
      reasons.push(`${driver} does not contain what was tried: ${escapes.join(', ')}`);
    } catch (error) {
      const { message, cause } = error as Error;
      reasons.push(`${driver}: ${cause instanceof Error ? cause.message : message}`);
    }
    await (sandbox ?? workspace).close();
  }
  return { reason: reasons.join('; ') };
}
