/**
 * Where a value of the shared state is: a text as it stands, a text that is JSON, or, when it is short, right here. A form that
 * nobody has filled in is empty.
 */
export type ValueRef =
  { text: string } | { json: string } | { value: string | number | boolean | null | Record<string, never> };
