import type { HttpBindings } from '@hono/node-server';
import type { Principal } from '../accounts/principal.ts';
import type { AppDeps } from '../deps.ts';
import type { IdSeed } from '../ids.ts';
import type { Deadline } from './deadline.ts';
import type { Leave, Place } from './turns.ts';

/** What a handler finds in `c.var`; `principal` behind the auth line. */
export type AppEnv = {
  Bindings: HttpBindings & {
    /** It is an operation of a batch: nothing is waited for, or kept open. */
    isInBatch?: true;
    /** When it was received, by `performance.now()`, where it waited for its place (`inTurn`). */
    received?: number;
    place?: Place;
  };
  Variables: {
    deps: AppDeps;
    requestId: string;
    principal: Principal;
    /** The most that its body may have; 1 where nothing is said (`limitBody`). */
    mostMebibytes?: number;
    /** Ends the turn of a long body before its answer (`readBody`). */
    leaveBody?: Leave;
    /** Whether the key is still good, for answers that last; what needs no key has none. */
    isLetIn?: () => Promise<boolean>;
    deadline: Deadline;
    idempotency?: IdSeed;
    /** The answer is still being written when its response goes out. */
    begun?: true;
    /** The answer may be kept when the run that its path names is purged. */
    tellsNothingOfRun?: true;
    /** The answer is made anew for who asks again with the same `Idempotency-Key`, once this has settled: until then it is at work. */
    keepsNoAnswer?: Promise<unknown>;
  };
};
