/** How the one task of the run of an agent ends badly. */

/** No answer of the model can be used: it would be of no use to ask the journal for it again. */
const faultsOfAnswers = [
  'OutputInvalid',
  'MaxTurnsReached',
  'NoText',
  'LlmEmptyAnswer',
  'LlmMalformedCall',
  'LlmTooManyCalls',
  'CodeFailed',
  'CodeInterrupted',
];

export function isFaultOfAnswer(type: string | null | undefined): boolean {
  return faultsOfAnswers.includes(type ?? '');
}

/** The text that its input is when that is too long for lists. */
export function longInputId(run_id: string): string {
  return `${run_id}/input`;
}
