import { expect } from 'vitest';
import type { Answer } from './client.ts';

/** Expects the one shape of errors (RFC 9457), whole, with these members beside the common ones. */
export function expectProblem(
  { status, headers, body }: Answer,
  expected: { status: number; code: string; [member: string]: unknown },
) {
  expect({ status, type: headers.get('content-type') }, JSON.stringify(body)).toEqual({
    status: expected.status,
    type: 'application/problem+json',
  });
  expect(body).toEqual({
    type: `/problems/${expected.code.toLowerCase().replaceAll('_', '-')}`,
    title: expect.stringMatching(/\S/),
    detail: expect.stringMatching(/^\w/),
    request_id: headers.get('x-request-id'),
    ...expected,
  });
}

/** Expects a 422 that names this place of the request, and no other. */
export function expectFault(answer: Answer, pointer: string) {
  const errors = [{ pointer, detail: expect.stringMatching(/\S/) }];
  expectProblem(answer, { status: 422, code: 'VALIDATION_FAILED', errors });
}

/** Expects a 404 for the ids of providers at these places of the request. */
export function expectNoProvider(answer: Answer, ...pointers: string[]) {
  const errors = pointers.map((pointer) => ({ pointer, detail: expect.stringMatching(/provider of this account$/) }));
  expectProblem(answer, { status: 404, code: 'NOT_FOUND', detail: 'Provider not found.', errors });
}
