import { defineQuery, defineSignal } from '@temporalio/workflow';
import type { SentAnswer } from './contract/gate-rules.ts';
import type { GateState, RunState } from './contract/states.ts';
import type { Steering } from './contract/steering.ts';

/** What can be said to, and asked of, the workflow of a run. */

export const completeTaskSignal = defineSignal<[SentAnswer]>('completeTask');
/** A run is held: no task of it begins. */
export const holdSignal = defineSignal('hold');
/** A run that was held may go on: it looks at once, and not only when it is due to. */
export const releaseSignal = defineSignal('release');
/** What people do to tasks, as Postgres has accepted it. */
export const steerSignal = defineSignal<[Steering]>('steer');
/** The terms of its gates were changed: the number of the change. Postgres has them. */
export const changeTermsSignal = defineSignal<[number]>('changeTerms');
export const runStateQuery = defineQuery<RunState>('runState');
export const waitingTasksQuery = defineQuery<GateState[]>('waitingTasks');

export const runWorkflowType = 'orchflowRun';
export const orchestrationWorkflowType = 'orchestrationRun';
export const agentWorkflowType = 'agentRun';
