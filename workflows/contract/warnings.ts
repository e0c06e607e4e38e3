/** The warning that the model wrote no further. Surfaces that have a code for it know it by these words. */
export function cutAtLimit(what: string): string {
  return `The text of ${what} was cut at the model's length limit.`;
}
