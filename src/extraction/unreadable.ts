/** Why a document cannot be read. Its message is for who sent it. */
export class Unreadable extends Error {
  override readonly name: string = 'Unreadable';
}

/** It was not read in the time that it was given. */
export class TooSlow extends Unreadable {
  override readonly name = 'TooSlow';

  constructor(timeout_ms: number) {
    super(`It takes longer to read than ${Math.ceil(timeout_ms / 1_000)} seconds.`);
  }
}
