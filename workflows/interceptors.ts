import type { WorkflowInterceptors } from '@temporalio/workflow';
import { forgetTime, hearTime } from './clock.ts';
import { forgetGrowth, grow } from './growth.ts';

/**
 * What the bundler has each workflow begin with. They only look, and hand on the same promise: one more in between would change the order in
 * which things have their effect.
 */
export function interceptors(): WorkflowInterceptors {
  forgetTime();
  forgetGrowth();
  return {
    inbound: [
      {
        handleSignal(input, next) {
          grow('signal');
          const [, sent_at] = input.args;
          if (typeof sent_at === 'number') hearTime(sent_at);
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
          return next(input);
        },
      },
    ],
  };
}
