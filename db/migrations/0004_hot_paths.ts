/** Was the functions that read a run and answer a gate: see 0002. */
export async function up(): Promise<void> {}
