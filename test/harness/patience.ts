/** In milliseconds: what has not come after this does not come, however busy the machine is. */
export const patience = 120_000;
