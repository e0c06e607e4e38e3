import { setTimeout as sleep } from 'node:timers/promises';
import { findCall } from '../../db/agent-calls.ts';
import { isLedByOthers } from '../../db/call-chains.ts';
import { listRunPlaces } from '../../db/run-events.ts';
import { findRunResult } from '../../db/run-results.ts';
import type { Mode } from '../../db/schema.ts';
import { hasEnded } from '../../workflows/contract/states.ts';
import { agentPrincipal, type Principal } from '../accounts/principal.ts';
import { readRef } from '../agents/offers.ts';
import { sha256 } from '../crypto.ts';
import { DomainError, InvalidInputError } from '../errors.ts';
import { findAccepted } from '../runs/start.ts';
import { ToolError, type Tool } from '../tools/index.ts';
import { findCalled } from './called.ts';
import { readOutput } from './output.ts';
import { startCall, type CallDeps } from './start.ts';

/** Agents that another agent calls, as tools of its model. */

/** The run that calls. */
type Caller = { account_id: string; mode: Mode; run_id: string };

/** The agent that was called is still at work. Whoever waits looks again, by the same key. */
export class StillAtWork extends Error {}

/** It is looked whether it is done for so long before others get the place of who waits, in milliseconds; and so often. */
const patience_ms = 2_000;
const interval_ms = 100;

/**
 * An agent (`org/agent@v1`) as a tool of another's model, to be offered to it or to be called. A call of it is a run of its own, once for each key,
 * whatever crashes: who calls by the same key again finds it. Undefined where it cannot be offered; a call says so.
 */
export async function agentTool(
  deps: CallDeps,
  ref: string,
  caller: Caller,
  { isOffer }: { isOffer: boolean },
): Promise<Tool | undefined> {
  const as = readRef(ref);
  if (!as) return undefined;
  const principal = agentPrincipal({ ...caller, key_id: '' });
  const find = () => findCalled(deps.db, principal, { ...as, endpoint: 'run' }).catch(unlessRefused);
  const shown = isOffer ? await find() : undefined;
  // What strangers lead to is not told what is private and what is not there: both are named, and neither can be called.
  if (isOffer && !shown && !(await isLedByOthers(deps.db, caller.run_id))) return undefined;
  return {
    name: shown?.name ?? `${as.org}/${as.agent}`,
    description: shown?.spec.description || `Calls the agent ${ref}, and answers with what it has found, as JSON.`,
    json_schema: shown?.spec.input_schema ?? { type: 'object', properties: {} },
    async run(input, { signal, idempotency_key }) {
      const seed = { seed: `orchflow:call:${idempotency_key}`, isRetry: true, idempotency_key };
      // What was called once is paid for, whatever has become of the agent since.
      const accepted = await findAccepted(deps.db, principal, seed);
      if (accepted) return answerOf(deps, principal, accepted, signal);
      const called = await find();
      if (!called) throw new ToolError(`The agent ${ref} cannot be called any more.`);
      const parent = await findCall(deps.db, caller.account_id, caller.run_id);
      if (!parent) throw new ToolError('It is called by agents that were called themselves.');
      const request = {
        input,
        chain: { parent },
        skills: { add: [], none: false },
        fingerprint: sha256(idempotency_key),
      };
      const as = { ...principal, key_id: parent.key_id };
      const run_id = await startCall(deps, as, called, request, seed).catch((error: unknown) => {
        throw error instanceof DomainError || error instanceof InvalidInputError ? new ToolError(error.message) : error;
      });
      return answerOf(deps, as, run_id, signal);
    },
  };
}

function unlessRefused(error: unknown): undefined {
  if (!(error instanceof DomainError)) throw error;
}

/** @throws StillAtWork */
async function answerOf(deps: CallDeps, principal: Principal, run_id: string, signal: AbortSignal): Promise<string> {
  const end = performance.now() + patience_ms;
  for (;;) {
    signal.throwIfAborted();
    const [place] = await listRunPlaces(deps.db, [run_id]);
    if (!place || hasEnded(place.status)) {
      const run = await findRunResult(deps.db, principal.account_id, run_id);
      if (!run) throw new ToolError('Its run was purged.');
      if (run.status === 'completed') return JSON.stringify(readOutput(run.output ?? '').data);
      if (hasEnded(run.status)) throw new ToolError(run.error ?? `Its run was ${run.status}.`);
    }
    if (performance.now() > end) throw new StillAtWork(`${run_id} is still at work.`);
    await sleep(interval_ms);
  }
}
