/** In milliseconds: what has not come after this does not come, however busy the machine is. */
export const patience = 120_000;

/** For what is told at once to who is connected, as a cancellation to an activity: in milliseconds. */
export const soon = 30_000;
