import { answerOf } from './call-answers.ts';
import type { Evidence } from './evidence.ts';
import type { Fallen } from './faults.ts';
import { shapesOfFirsts, waiting_ms } from './firsts.ts';
import { mostCallsAtOnce } from './invariants/hostile.ts';
import { entries, time, waitedInVain } from './invariants/runs.ts';
import type { CallKind, SteeringAction } from './journal.ts';
import { honestPart, hostilePart } from './parts.ts';
import { hasSandbox } from './sandbox.ts';
import { steeringsOf } from './steerings.ts';

/** What has happened in a run of chaos, and how often. */

/** Wrong keys, missing scopes, what is another's, what is wrong, and what is one too many. */
const refusals = [401, 403, 404, 422, 429];

/**
 * Where faults fell that matter, what people have changed, and what the hostile tenant was refused: how often, by what. A run
 * without one of these has tested too little.
 */
export function coverage(e: Evidence): Record<string, number> {
  const {
    fallen,
    hostile: { exchanges },
  } = e;
  const kills = fallen.filter(({ kind }) => kind.startsWith('kill'));
  const hitsWorker = (fault: Fallen) =>
    'target' in fault ? fault.target.startsWith('worker') : /call|chain|tool|delivery/.test(fault.kind);
  const workerKills = kills.filter(hitsWorker);
  const codeKills = kills.filter((fault) =>
    'target' in fault ? fault.target === 'coder' : fault.kind === 'kill in code',
  );
  return {
    'worker killed inside a model call': workerKills.filter(({ open_calls }) => open_calls > 0).length,
    'worker killed while it indexes': workerKills.filter(({ open_embeddings }) => open_embeddings > 0).length,
    'worker killed inside a call of another agent': workerKills.filter(({ open_below }) => open_below > 0).length,
    ...(hasSandbox && {
      'worker killed inside code of both sorts': codeKills.filter(({ open_code }) => open_code > 0).length,
    }),
    'worker killed inside a tool call': workerKills.filter(({ open_tools }) => open_tools > 0).length,
    'API killed between commit and signal': kills.filter(({ unsent = 0 }) => unsent > 0).length,
    'worker killed during a webhook': workerKills.filter(({ open_deliveries }) => open_deliveries > 0).length,
    ...Object.fromEntries(Object.entries(courses(honestPart(e))).filter(([what]) => what in shapesOfFirsts)),
    ...Object.fromEntries(
      refusals.map((due) => [
        `hostile requests refused with ${due}`,
        exchanges.filter(({ status }) => status === due).length,
      ]),
    ),
  };
}

/** What of the product was there to be checked, and how often. */
export function seen(e: Evidence): Record<string, number> {
  const gates = (is: (gate: Evidence['gates'][number]) => boolean) => e.gates.filter(is).length;
  const orchestrations = e.runs.filter(({ orchestration_id }) => orchestration_id !== null);
  const ofAgents = e.runs.filter(({ kind }) => kind === 'agent');
  const providers = new Map(e.runs.map(({ run_id, provider_id }) => [run_id, provider_id]));
  return {
    'model calls': e.llm_calls.length,
    'tool calls': e.tool_calls.length,
    'gates answered': gates(({ status }) => status === 'answered'),
    'of them for tool calls': gates(({ kind, status }) => kind === 'tool_approval' && status === 'answered'),
    'of them for budgets': gates(({ kind, status }) => kind === 'budget' && status === 'answered'),
    'gates expired': gates(({ status }) => status === 'expired'),
    'answers of a fallback': e.llm_calls.filter(({ run_id, provider_id }) => provider_id !== providers.get(run_id!))
      .length,
    reruns: e.sources.size,
    'of them of orchestrations': orchestrations.filter(({ forked_from }) => forked_from !== null).length,
    orchestrations: orchestrations.length,
    'runs of agents': ofAgents.length,
    'tries of failed ones': [...orchestrations, ...ofAgents].reduce((sum, { attempt }) => sum + attempt - 1, 0),
    'runs that continued as new': e.continued,
    ...courses(e),
    'calls of agents': e.called.length,
    'of them by agents': e.called.filter(({ parent_run_id }) => parent_run_id !== null).length,
    'tries of code': e.code_runs.length,
    'queries answered to an operator': e.queries,
  };
}

/** How often people have changed the course of runs, and what they have given to them. */
function courses(e: Evidence): Record<string, number> {
  const { events, purged } = e;
  const told = (type: string) => events.filter((event) => event.type === type).length;
  const steered = e.runs.flatMap(({ run_id }) => steeringsOf(e, run_id));
  const sentBack = new Set(entries(e, 'complete').flatMap(({ send_back_to, note }) => (send_back_to ? [note] : [])));
  const waited = e.begun.filter(({ queued_at, at }) => time(at) - time(queued_at) > waiting_ms);
  const streams = entries(e, 'start').filter((entry) => entry.isStream && isOk(entry));
  const by = (action: SteeringAction) => steered.filter((one) => one.action === action && !sentBack.has(one.note));
  return {
    'runs held': told('run.held'),
    'of them released': told('run.released'),
    'tasks sent back': steered.filter(({ note }) => sentBack.has(note)).length,
    'tasks corrected': by('correct').length,
    'tasks tried again': by('retry').length,
    'tasks skipped': by('skip').length,
    'tasks cancelled': by('cancel').length,
    'runs changed': told('run.changed'),
    'runs purged': purged.size,
    'runs that waited for a place': waited.length,
    'runs that were to begin later': e.begun.filter(({ start_at }) => start_at !== null).length,
    'runs cancelled before they began': e.runs.filter((run) => waitedInVain(e, run)).length,
    'files kept': new Set(
      entries(e, 'upload')
        .filter(isOk)
        .map(({ name }) => name),
    ).size,
    'files given to runs': e.run_files.length,
    'of them with answers': e.run_files.filter(({ gate_id }) => gate_id !== '').length,
    'files deleted': entries(e, 'delete file').filter(isOk).length,
    'gates given to people': told('gate.assigned'),
    'answers of their own': e.gates.filter(({ by }) => by?.kind === 'person').length,
    'documents indexed': e.library.documents.filter(({ status }) => status === 'indexed').length,
    'documents deleted': entries(e, 'delete document').filter(isOk).length,
    'passages found': entries(e, 'search').filter((entry) => isOk(entry) && entry.due === 'found').length,
    'agents read token by token': streams.filter(({ body }) => body.result?.status === 'completed').length,
    'streams cut': streams.filter(({ body }) => body.broke).length,
    ...callsOf(e),
  };
}

/** How often agents were called, and what their clients have got. */
function callsOf(e: Evidence): Record<string, number> {
  const calls = entries(e, 'call');
  const answered = (kind: CallKind) => calls.filter((entry) => entry.kind === kind && isOk(entry));
  const heard = Map.groupBy(calls, (entry) => answerOf(entry).run_id);
  const late = calls.filter((entry) => entry.deadline_at && answerOf(entry).isOfRun);
  return {
    'calls answered': answered('once').length,
    'calls answered by events': answered('as events').length,
    'calls taken up again': [...heard].filter(([run_id, all]) => run_id && all.length > 1 && all.some(isOk)).length,
    'agents that called others': answered('in a chain').length,
    'calls ended by their deadline': late.filter((entry) => answerOf(entry).error?.code === 'TIMEOUT').length,
    'code called': answered('code').length,
    'agents called by code': answered('code that calls').filter(({ body }) => body.data.run).length,
  };
}

const isOk = ({ outcome }: { outcome: string }) => outcome === 'ok';

/** What the hostile tenant has done, and how it was answered. */
export function deedsOf(e: Evidence): Record<string, number> {
  const { exchanges, attacks, toolCalls } = e.hostile;
  const answers = Map.groupBy(exchanges, ({ status, body }) =>
    status === 429 ? `429 ${body?.code}` : String(status ?? 'none'),
  );
  const counts = [...answers]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([what, all]) => [what, all.length] as const);
  return {
    'hostile attacks': attacks,
    'hostile runs': hostilePart(e).runs.length,
    'hostile calls of tools': toolCalls.length,
    'hostile model calls at once, at most': mostCallsAtOnce(e),
    ...Object.fromEntries(counts.map(([what, count]) => [`hostile requests answered ${what}`, count])),
  };
}
