import { present } from '../test/harness/sandboxes.ts';

/** Whether code of people can be run on this machine: where it cannot, agents that are code are left out. */
export const hasSandbox = present.bubblewrap;
