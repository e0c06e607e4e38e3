/** Whoever does something in a test that does not ask who. */
export const actor = { kind: 'key' as const, id: 'key_test', name: 'Test', on_behalf_of: null };
