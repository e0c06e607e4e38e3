import { defineQuery, defineSignal } from '@temporalio/workflow';
import type { SentAnswer } from './contract/gate-rules.ts';
import type { GateState, RunState } from './contract/states.ts';

/** What can be said to, and asked of, the workflow of a run. */

export const completeTaskSignal = defineSignal<[SentAnswer]>('completeTask');
export const runStateQuery = defineQuery<RunState>('runState');
export const waitingTasksQuery = defineQuery<GateState[]>('waitingTasks');

export const runWorkflowType = 'orchflowRun';
export const orchestrationWorkflowType = 'orchestrationRun';
export const webhookWorkflowType = 'webhookDelivery';
