import type { Evidence } from './evidence.ts';
import * as approvals from './invariants/approvals.ts';
import { budgetsHold } from './invariants/budget.ts';
import * as agentCalls from './invariants/agent-calls.ts';
import * as calls from './invariants/calls.ts';
import { chainsAreKept } from './invariants/chains.ts';
import * as code from './invariants/code.ts';
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
import * as steering from './invariants/steering.ts';
import * as steps from './invariants/steps.ts';
import { subscribersHearAll } from './invariants/subscriptions.ts';
import { timersKeepTheirTerms } from './invariants/timers.ts';
import { useIsExact } from './invariants/use.ts';
import { honestPart, hostilePart } from './parts.ts';

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
  ['43 a call that its client has left is taken up by who asks again', agentCalls.leftCallsAreTakenUp, 'honest'],
  ['44 an answer to a call is what its run has come to', agentCalls.callsAreAnsweredByTheirRuns, 'honest'],
  ['45 an agent calls others once each, within what it may', chainsAreKept, 'honest'],
  ['46 code is begun again only where it may be', code.codeIsBegunOnce, 'honest'],
  ['47 a deadline ends a call, and nothing is paid after it', code.deadlinesAreKept, 'honest'],
  ['48 the use that is told is exact to the journal', useIsExact, 'honest'],
];

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
