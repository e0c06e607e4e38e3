import { DefaultFailureConverter } from '@temporalio/common';

/** For encrypted payloads: messages and stacks of failures become a payload too, and so are encrypted with the others. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
