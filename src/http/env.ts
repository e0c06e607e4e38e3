import type { Principal } from '../accounts/principal.ts';
import type { AppDeps } from '../deps.ts';
import type { IdSeed } from '../ids.ts';
import type { Deadline } from './deadline.ts';

/** What a handler finds in `c.var`; `principal` behind the auth line. */
export type AppEnv = {
  Variables: {
    deps: AppDeps;
    requestId: string;
    principal: Principal;
    deadline: Deadline;
    idempotency?: IdSeed;
  };
};
