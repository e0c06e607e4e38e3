/** The argument of a process that `npm start` has load before there is anything for it to talk to. */
export const held = '--held';

/** Resolves when the launcher lets go of this process, at once where nobody holds it. It ends where its launcher ends before. */
export function untilReleased(): Promise<void> {
  if (!process.argv.includes(held)) return Promise.resolve();
  const end = () => process.exit(1);
  process.stdin.once('end', end);
  return new Promise((resolve) =>
    process.stdin.once('data', () => {
      process.stdin.off('end', end).destroy();
      resolve();
    }),
  );
}
