/** Was a change of save_progress: see 0002. */
export async function up(): Promise<void> {}
