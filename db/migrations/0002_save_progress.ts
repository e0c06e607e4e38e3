/**
 * Was functions only, which are in `db/functions` now. The file stays: Kysely refuses a database that has applied a
 * migration which is missing here.
 */
export async function up(): Promise<void> {}
