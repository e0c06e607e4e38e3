import { defineQuery, defineSignal } from '@temporalio/workflow';
import type { SentAnswer } from './contract/gate-rules.ts';
import type { GateState, RunState } from './contract/states.ts';
import type { Steering } from './contract/steering.ts';

/**
 * What can be said to, and asked of, the workflow of a run. Signals have as their second argument when it was said, in milliseconds
 * since 1970 by the clock of PostgreSQL.
 */

export const completeTaskSignal = defineSignal<[SentAnswer, number?]>('completeTask');
/** A run is held: no task of it begins. */
export const holdSignal = defineSignal<[null?, number?]>('hold');
/** A run that was held may go on: it looks at once, and not only when it is due to. */
export const releaseSignal = defineSignal<[null?, number?]>('release');
/** What people do to tasks, as Postgres has accepted it. */
export const steerSignal = defineSignal<[Steering, number?]>('steer');
/** The terms of its gates were changed: the number of the change. Postgres has them. */
export const changeTermsSignal = defineSignal<[number, number?]>('changeTerms');
export const runStateQuery = defineQuery<RunState>('runState');
export const waitingTasksQuery = defineQuery<GateState[]>('waitingTasks');

export const runWorkflowType = 'orchflowRun';
export const orchestrationWorkflowType = 'orchestrationRun';
export const agentWorkflowType = 'agentRun';
