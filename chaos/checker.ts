import type { Evidence } from './evidence.ts';
import * as approvals from './invariants/approvals.ts';
import { budgetsHold } from './invariants/budget.ts';
import * as calls from './invariants/calls.ts';
import * as effects from './invariants/effects.ts';
import * as files from './invariants/files.ts';
import * as gates from './invariants/gates.ts';
import { heldRunsBeginNothing } from './invariants/held.ts';
import * as hostile from './invariants/hostile.ts';
import * as library from './invariants/library.ts';
import * as people from './invariants/people.ts';
import { purgedRunsAreGone } from './invariants/purges.ts';
import * as queue from './invariants/queue.ts';
import { runsGoOn } from './invariants/recovery.ts';
import { rerunsLeaveTheirSource } from './invariants/reruns.ts';
import * as runs from './invariants/runs.ts';
import { entries } from './invariants/runs.ts';
import * as steering from './invariants/steering.ts';
import * as steps from './invariants/steps.ts';
import { subscribersHearAll } from './invariants/subscriptions.ts';
import { timersKeepTheirTerms } from './invariants/timers.ts';
import type { Fallen } from './faults.ts';
import { shapesOfFirsts, waiting_ms } from './firsts.ts';
import type { SteeringAction } from './journal.ts';
import { honestPart, hostilePart } from './parts.ts';
import { steeringsOf } from './steerings.ts';

/** Whose evidence an invariant is held against: that of the honest accounts, theirs and the hostile one's, or all in one. */
type Of = 'honest' | 'both' | 'all';

const invariants: [string, runs.Invariant, Of][] = [
  ['1 an acknowledged start is never lost or doubled', runs.startsAreKept, 'honest'],
  ['2 every run has ended, or says what it waits for', runs.runsEndOrWait, 'honest'],
  ['3 an acknowledged answer counts exactly once', runs.answersCountOnce, 'both'],
  ['4 a model call is accepted once, and repeated only for a fault', calls.callsArePaidOnce, 'honest'],
  ['5 tasks keep the order of their graph', runs.orderIsKept, 'honest'],
  ['6 no machine passes a gate', gates.gatesArePassedByPeople, 'both'],
  ['7 a cancellation is final', effects.cancelsAreFinal, 'both'],
  ['8 every event is delivered, the same each time', effects.eventsAreDelivered, 'honest'],
  ['9 nothing goes back, and use is what was answered', effects.nothingGoesBack, 'both'],
  ['10 no secret leaks, and every history replays', effects.nothingLeaks, 'all'],
  ['11 a tool call is made once, and has one result', calls.toolsAreCalledOnce, 'honest'],
  ['12 a fallback answers what was refused, and only that', calls.fallbacksStepIn, 'honest'],
  ['13 a tool that people approve waits for them', approvals.toolsAreApproved, 'honest'],
  ['14 a timeout and an answer exclude each other', timersKeepTheirTerms, 'honest'],
  ['15 no budget is overshot', budgetsHold, 'honest'],
  ['16 a rerun leaves its source as it was', rerunsLeaveTheirSource, 'honest'],
  ['17 an orchestration keeps the order of its steps', steps.stepsKeepTheirOrder, 'honest'],
  ['18 its state is what its steps were given', steps.stateIsWhatWasGiven, 'honest'],
  ['19 no run stands still for a minute once all is there again', runsGoOn, 'honest'],
  ['20 every request is answered within 3 s', effects.answersArePrompt, 'honest'],
  ['21 a tool is called as it was offered, with a gate of its own', approvals.toolsAreCalledAsOffered, 'all'],
  ['22 the hostile tenant takes nothing of another', hostile.nothingIsTaken, 'all'],
  ['23 what it is refused is refused in words, and not half-done', hostile.refusalsAreInWords, 'all'],
  ['24 no account has more than its limits', hostile.limitsHold, 'all'],
  ['25 who subscribes hears of everything, in order', subscribersHearAll, 'honest'],
  ['26 while a run is held nothing is begun in it', heldRunsBeginNothing, 'honest'],
  ['27 a correction stands, and what it replaced is in the audit', steering.correctionsStand, 'honest'],
  ['28 what is sent back is done again, and nothing else', steering.whatStandsBesideStays, 'honest'],
  ['29 what is asked of a task is done once', steering.steeringsCountOnce, 'both'],
  ['30 a completed run has heard of all that was asked of it', steering.completedRunsHaveHeard, 'both'],
  ['31 a purged run is gone, and stays counted', purgedRunsAreGone, 'honest'],
  ['32 a kept file is there byte for byte until it is deleted, and then gone', files.filesAreKept, 'all'],
  ['33 what a run was given its models are given', files.modelsAreGivenFiles, 'honest'],
  ['34 no account has more active runs than places', queue.placesAreKept, 'all'],
  ['35 runs begin in turn, and none before its time', queue.runsBeginInTurn, 'both'],
  ['36 a gate is answered by whom it is with, or by its account', people.gatesAreAnsweredByWhomTheyAreWith, 'honest'],
  [
    '37 nobody is given more gates than they may have, and who is given one is told',
    people.peopleAreGivenWhatTheyMayHave,
    'all',
  ],
  ['38 an acknowledged document is indexed, or has failed with a reason, once', library.documentsAreIndexed, 'honest'],
  ['39 no embedding is paid twice', library.embeddingsArePaidOnce, 'honest'],
  ['40 what became of a document is told, once in content', library.documentsAreToldOf, 'honest'],
  ['41 what is indexed is found, and nothing of another', library.documentsAreFound, 'honest'],
  ['42 the tokens of a stream are the output together', library.tokensAreTheOutput, 'honest'],
];

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
    'target' in fault ? fault.target.startsWith('worker') : /call|tool|delivery/.test(fault.kind);
  const workerKills = kills.filter(hitsWorker);
  return {
    'worker killed inside a model call': workerKills.filter(({ open_calls }) => open_calls > 0).length,
    'worker killed while it indexes': workerKills.filter(({ open_embeddings }) => open_embeddings > 0).length,
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
    'queries answered to an operator': e.queries,
  };
}

/** How often people have changed the course of runs, and what they have given to them. */
function courses(e: Evidence): Record<string, number> {
  const { events, purged } = e;
  const told = (type: string) => events.filter((event) => event.type === type).length;
  const steered = e.runs.flatMap(({ run_id }) => steeringsOf(e, run_id));
  const sentBack = new Set(entries(e, 'complete').flatMap(({ send_back_to, note }) => (send_back_to ? [note] : [])));
  const isOk = ({ outcome }: { outcome: string }) => outcome === 'ok';
  const waited = e.begun.filter(({ queued_at, at }) => runs.time(at) - runs.time(queued_at) > waiting_ms);
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
    'runs cancelled before they began': e.runs.filter((run) => runs.waitedInVain(e, run)).length,
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
  };
}

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
    'hostile model calls at once, at most': hostile.mostCallsAtOnce(e),
    ...Object.fromEntries(counts.map(([what, count]) => [`hostile requests answered ${what}`, count])),
  };
}

/** Checks all invariants and prints each. Returns how many are violated. */
export function check(evidence: Evidence, print: (line: string) => void): number {
  let first: string | undefined;
  let violated = 0;
  const parts = {
    honest: [honestPart(evidence)],
    both: [honestPart(evidence), hostilePart(evidence)],
    all: [evidence],
  };
  for (const [name, invariant, of] of invariants) {
    const faults = parts[of].flatMap(invariant);
    print(`${faults.length ? `VIOLATED (${faults.length})` : 'ok'.padEnd(8)}  ${name}`);
    if (faults.length === 0) continue;
    violated += 1;
    first ??= [`First violation, of "${name}":`, ...faults.slice(0, 10)].join('\n  ');
  }
  if (first) print(first);
  return violated;
}
