import type { Evidence } from '../evidence.ts';
import type { Exchange } from '../hostile/door.ts';
import { limits, placesOfOne } from '../limits.ts';
import { honestPart, hostilePart } from '../parts.ts';
import { aftermath, during, hurtsApi } from '../windows.ts';
import { lateAnswers } from './effects.ts';
import { endOf } from './timers.ts';
import { entries, isEnded, statusInTemporal, waitedInVain, type Invariant } from './runs.ts';

/** What must hold of the tenant that means harm. */

/** 22. The hostile tenant sees nothing that is another's, changes nothing of it, and has nothing done with it. */
export const nothingIsTaken: Invariant = (e) => {
  const { account_id } = e.hostile.account;
  const faults = e.hostile.exchanges
    .filter(({ seen }) => seen.length > 0)
    .map((exchange) => `${tell(exchange)} shows ${exchange.seen.join()}`);
  const [before, after] = [e.holdings.before, e.holdings.after].map((held) =>
    held
      // Files come and go; what becomes of them is looked at by itself.
      .filter(({ kind }) => kind !== 'file')
      .filter((one) => one.account_id !== account_id && e.honest.has(one.account_id))
      .map((one) => JSON.stringify(one)),
  ) as [string[], string[]];
  for (const one of before) if (!after.includes(one)) faults.push(`another had ${one}, and has it no more`);
  for (const one of after) if (!before.includes(one)) faults.push(`another has ${one}, and had it not`);
  const honest = honestPart(e);
  for (const run of honest.runs.filter(({ status }) => status === 'cancelled')) {
    const isMeant = entries(honest, 'cancel').some(
      ({ run_id, outcome }) => run_id === run.run_id && outcome !== 'fail',
    );
    const isDue = honest.gates.some((gate) => gate.run_id === run.run_id && endOf(honest, run, gate) === 'cancel');
    const above = honest.called.find(({ run_id }) => run_id === run.run_id)?.parent_run_id;
    const isOrphaned = honest.runs.some(({ run_id, status }) => run_id === above && /failed|cancelled/.test(status));
    if (!isMeant && !isDue && !isOrphaned) faults.push(`${run.run_id} is another's, and was cancelled`);
  }
  const { runs } = hostilePart(e);
  for (const { run_id, provider_id } of runs) {
    const isOwn = e.holdings.after.some((one) => one.id === provider_id && one.account_id === account_id);
    if (provider_id !== null && !isOwn) faults.push(`${run_id} has the provider ${provider_id} of another`);
  }
  const ids = new Set(runs.map(({ run_id }) => run_id));
  for (const { call_id, vendor } of e.calls.filter(({ run_id }) => ids.has(run_id)))
    faults.push(`${call_id} was asked of ${vendor}, of another`);
  for (const [text_id, text] of e.texts)
    if (text.includes('xstolen')) faults.push(`${text_id} says ${text.slice(0, 80)}`);
  return faults;
};

/**
 * 23. What the hostile tenant asks is answered as it is due, in time, and refused in words: with a 5xx or not at all only for
 * a fault. Nothing is half-done of what is refused, and what is taken is there, once.
 */
export const refusalsAreInWords: Invariant = (e) => {
  const { exchanges } = e.hostile;
  const faults = [...lateAnswers(e, exchanges), ...exchanges.flatMap((exchange) => undue(e, exchange))];
  const runs = hostilePart(e).runs;
  const held = e.holdings.after.filter(({ account_id }) => account_id === e.hostile.account.account_id);
  const isRefused = ({ status = 0 }: Exchange) => status >= 400 && status < 500;
  const named = exchanges.filter(({ makes }) => makes !== undefined);
  for (const [name, all] of Map.groupBy(named, ({ makes }) => makes!)) {
    const started = runs.filter(({ task, forked_from }) => task.startsWith(`[run:${name}]`) && forked_from === null);
    const isThere = started.length > 0 || held.some((one) => one.name === name);
    if (all.every(isRefused) && isThere) faults.push(`${name} was refused and is there: ${all.map(tell).join(', ')}`);
    const isStart = all.some(({ path }) => /^\/runs|\/run\?|^\/agents\/\w+\/runs$/.test(path));
    const isTaken = all.some(({ status = 0 }) => status >= 200 && status < 300);
    if (isStart && isTaken && started.length !== 1) faults.push(`${name} was taken, and is ${started.length} runs`);
  }
  for (const run of runs.filter((one) => !waitedInVain(e, one))) {
    const { run_id, status, error } = run;
    const workflow = e.workflows.find(({ workflow_id }) => workflow_id === run_id);
    const isSame = isEnded(status) && workflow?.status === statusInTemporal[status as keyof typeof statusInTemporal];
    // The cancellation was taken while the workflow was about to fail, and stands.
    const isTooLate = status === 'cancelled' && workflow?.status === 'FAILED';
    if (!isSame && !isTooLate)
      faults.push(`${run_id} is ${status}, and its workflow ${workflow?.status} ${workflow?.pending}`);
    if (status === 'failed' && !error) faults.push(`${run_id} has failed without a word`);
  }
  return faults;
};

/** After so much work of its own a request is refused with 503, less what a timer is early. */
const deadline_ms = 1_950;

/** What is wrong with the status and the words of an answer. */
function undue(e: Evidence, exchange: Exchange): string[] {
  const { due, status, body, left, invoked, ended, api, app_ms } = exchange;
  if (status === undefined) {
    const isExcused = left || during(e, invoked, ended, (fault) => hurtsApi(fault, api), 5_000).length > 0;
    return isExcused ? [] : [`${tell(exchange)}, and nothing had happened to it`];
  }
  if (status >= 400 && !(body?.code && body.detail)) return [`${tell(exchange)}, without a word`];
  if (due.includes(status) || body?.code === 'RATE_LIMITED') return [];
  // It has worked for its two seconds then: the machine is busy, or requests of the tenant wait for one another.
  const isBusy = app_ms !== undefined && app_ms >= deadline_ms;
  const isFault = isBusy || during(e, invoked, ended, () => true, aftermath).length > 0;
  return status === 503 && isFault ? [] : [`${tell(exchange)}, due was ${due.join(' or ')}`];
}

function tell({ op, method, path, api, invoked, status, app_ms, body }: Exchange): string {
  const said = body ? ` ${body.code ?? ''} ${body.detail ?? ''}` : '';
  const at = new Date(invoked).toISOString();
  return `${op}: ${method} ${path} by ${api} at ${at}: ${status ?? 'no answer'}${said} after ${app_ms ?? '?'} ms`;
}

/** 24. However much an account wants, it has no more of anything than its limits say. */
export const limitsHold: Invariant = (e) => {
  const faults = e.accepted
    .filter(({ unfinished }) => unfinished > e.limits.unfinishedRuns)
    .map(
      ({ run_id, account_id, unfinished }) => `${run_id} was accepted as the ${unfinished}th of ${account_id} at once`,
    );
  for (const [api, held] of Map.groupBy(e.hostile.held, (one) => one.api)) {
    const most = mostAtOnce(held);
    if (most > limits.openAnswers) faults.push(`${most} answers were open at once in ${api}`);
  }
  const most = mostCallsAtOnce(e);
  if (most > 2 * placesOfOne) faults.push(`${most} calls were open at once, in two workers`);
  for (const { file_id, account_id, files, bytes } of e.filed) {
    if (files > e.limits.files || bytes > e.limits.fileBytes)
      faults.push(`${account_id} had ${files} files of ${bytes} bytes with ${file_id}`);
  }
  const mostOf = {
    provider: limits.providers,
    'MCP server': limits.mcpServers,
    orchestration: limits.orchestrations,
    agent: limits.agents,
    subscription: limits.subscriptions,
  };
  const active = e.holdings.after.filter(({ state }) => state !== 'inactive');
  for (const [account_id, held] of Map.groupBy(active, (one) => one.account_id)) {
    for (const [kind, bound] of Object.entries(mostOf)) {
      const count = held.filter((one) => one.kind === kind).length;
      if (count > bound) faults.push(`${account_id} has ${count} of ${kind}`);
    }
  }
  return faults;
};

/** A connection that is given up is closed a moment later at its other end. */
const closing_ms = 1_000;

/** How many calls of the hostile tenant its model had open at once. */
export function mostCallsAtOnce({ hostile, gathered_at }: Evidence): number {
  return mostAtOnce(
    hostile.calls.map(({ received_at, closed_at = gathered_at }) => ({
      from: received_at,
      to: closed_at - closing_ms,
    })),
  );
}

export function mostAtOnce(all: { from: number; to: number }[]): number {
  const changes = all
    .filter(({ from, to }) => to > from)
    .flatMap(({ from, to }) => [
      { at: from, by: 1 },
      { at: to, by: -1 },
    ]);
  let open = 0;
  let most = 0;
  for (const { by } of changes.toSorted((a, b) => a.at - b.at || a.by - b.by)) most = Math.max(most, (open += by));
  return most;
}
