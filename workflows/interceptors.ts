import type { WorkflowInterceptors } from '@temporalio/workflow';
import { hearTime, timerFires, timerStarts } from './clock.ts';
import { grow } from './growth.ts';

/**
 * What the bundler has each workflow begin with. They only look, and hand on the same promise: one more in between would change the order in
 * which things have their effect.
 */
export function interceptors(): WorkflowInterceptors {
  return {
    inbound: [
      {
        handleSignal(input, next) {
          grow('signal', input.args);
          hearTime(input.args[1]);
          return next(input);
        },
      },
    ],
    outbound: [
      {
        scheduleActivity(input, next) {
          grow('activity', input.args);
          return next(input);
        },
        scheduleLocalActivity(input, next) {
          grow('localActivity', input.args);
          return next(input);
        },
        startChildWorkflowExecution(input, next) {
          grow('child', input.options.args);
          return next(input);
        },
        startTimer(input, next) {
          grow('timer');
          timerStarts(input.seq, input.durationMs);
          return next(input);
        },
      },
    ],
    internals: [
      {
        activate(input, next) {
          for (const { fireTimer } of input.activation.jobs ?? []) {
            if (!fireTimer) continue;
            grow('firedTimer');
            timerFires(fireTimer.seq!);
          }
          next(input);
        },
      },
    ],
  };
}
