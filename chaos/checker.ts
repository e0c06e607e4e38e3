import type { Evidence } from './evidence.ts';
import { budgetsHold } from './invariants/budget.ts';
import * as calls from './invariants/calls.ts';
import * as effects from './invariants/effects.ts';
import * as gates from './invariants/gates.ts';
import { runsGoOn } from './invariants/recovery.ts';
import { rerunsLeaveTheirSource } from './invariants/reruns.ts';
import * as runs from './invariants/runs.ts';
import * as steps from './invariants/steps.ts';
import { timersKeepTheirTerms } from './invariants/timers.ts';
import type { Fallen } from './faults.ts';

const invariants: [string, runs.Invariant][] = [
  ['1 an acknowledged start is never lost or doubled', runs.startsAreKept],
  ['2 every run has ended, or says what it waits for', runs.runsEndOrWait],
  ['3 an acknowledged answer counts exactly once', runs.answersCountOnce],
  ['4 a model call is accepted once, and repeated only for a fault', calls.callsArePaidOnce],
  ['5 tasks keep the order of their graph', runs.orderIsKept],
  ['6 no machine passes a gate', gates.gatesArePassedByPeople],
  ['7 a cancellation is final', effects.cancelsAreFinal],
  ['8 every event is delivered, the same each time', effects.eventsAreDelivered],
  ['9 nothing goes back, and use is what was answered', effects.nothingGoesBack],
  ['10 no secret leaks, and every history replays', effects.nothingLeaks],
  ['11 a tool call is made once, and has one result', calls.toolsAreCalledOnce],
  ['12 a fallback answers what was refused, and only that', calls.fallbacksStepIn],
  ['13 a tool that people approve waits for them', gates.toolsAreApproved],
  ['14 a timeout and an answer exclude each other', timersKeepTheirTerms],
  ['15 no budget is overshot', budgetsHold],
  ['16 a rerun leaves its source as it was', rerunsLeaveTheirSource],
  ['17 an orchestration keeps the order of its steps', steps.stepsKeepTheirOrder],
  ['18 its state is what its steps were given', steps.stateIsWhatWasGiven],
  ['19 no run stands still for a minute once all is there again', runsGoOn],
  ['20 every request is answered within 3 s', effects.answersArePrompt],
];

/** Where faults fell that matter: how often, by what. A run without one of these has tested too little. */
export function coverage(fallen: Fallen[]): Record<string, number> {
  const kills = fallen.filter(({ kind }) => kind.startsWith('kill'));
  const hitsWorker = (fault: Fallen) =>
    'target' in fault ? fault.target.startsWith('worker') : /call|tool|delivery/.test(fault.kind);
  const workerKills = kills.filter(hitsWorker);
  return {
    'worker killed inside a model call': workerKills.filter(({ open_calls }) => open_calls > 0).length,
    'worker killed inside a tool call': workerKills.filter(({ open_tools }) => open_tools > 0).length,
    'API killed between commit and signal': kills.filter(({ unsent = 0 }) => unsent > 0).length,
    'worker killed during a webhook': workerKills.filter(({ open_deliveries }) => open_deliveries > 0).length,
  };
}

/** What of the product was there to be checked, and how often. */
export function seen(e: Evidence): Record<string, number> {
  const gates = (is: (gate: Evidence['gates'][number]) => boolean) => e.gates.filter(is).length;
  const orchestrations = e.runs.filter(({ orchestration_id }) => orchestration_id !== null);
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
    orchestrations: orchestrations.length,
    'tries of failed ones': orchestrations.reduce((sum, { attempt }) => sum + attempt - 1, 0),
    'runs that continued as new': e.continued,
  };
}

/** Checks all invariants and prints each. Returns how many are violated. */
export function check(evidence: Evidence, print: (line: string) => void): number {
  let first: string | undefined;
  let violated = 0;
  for (const [name, invariant] of invariants) {
    const faults = invariant(evidence);
    print(`${faults.length ? `VIOLATED (${faults.length})` : 'ok'.padEnd(8)}  ${name}`);
    if (faults.length === 0) continue;
    violated += 1;
    first ??= [`First violation, of "${name}":`, ...faults.slice(0, 10)].join('\n  ');
  }
  if (first) print(first);
  return violated;
}
