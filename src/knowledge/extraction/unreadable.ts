/** Why a document cannot be read. Its message is for who sent it. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}
