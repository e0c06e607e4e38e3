import type { z } from 'zod';
import type { FieldFault, Path } from '../errors.ts';
import { pointer } from './pointer.ts';

/** Nobody reads more, and a long list of wrong items must not become a longer answer. */
const maxFaults = 100;

/**
 * The faults that zod found: the first of each place, for what is of a wrong type is measured too. `what` is what a
 * request has there, a field or a parameter.
 */
export function faults(error: z.core.$ZodError, what: 'field' | 'parameter' = 'field'): FieldFault[] {
  const byPlace = new Map<string, FieldFault>();
  for (const fault of faultsOf(error.issues, [], what)) {
    const place = pointer(fault.path);
    if (!byPlace.has(place)) byPlace.set(place, fault);
    if (byPlace.size === maxFaults) break;
  }
  return [...byPlace.values()];
}

function faultsOf(issues: z.core.$ZodIssue[], at: Path, what: string): FieldFault[] {
  return issues.flatMap((issue): FieldFault[] => {
    const path = [...at, ...issue.path];
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => ({ path: [...path, key], detail: `is not a ${what} of this request` }));
      case 'invalid_key':
        return [{ path, detail: issue.issues[0]?.message ?? issue.message }];
      case 'invalid_union':
        return faultsOfUnion(issue, path, what);
      default:
        return [{ path, detail: issue.message }];
    }
  });
}

/** Those of the member that takes values of this type; when none does, of which types they may be. */
function faultsOfUnion(issue: z.core.$ZodIssueInvalidUnion, path: Path, what: string): FieldFault[] {
  const wrongTypes = issue.errors.map((issues) => issues.find(isOfWrongType));
  const fitting = issue.errors[wrongTypes.indexOf(undefined)];
  if (fitting) return faultsOf(fitting, path, what);
  const wanted = new Set(wrongTypes.map((wrong) => wrong!.message));
  if (wanted.size === 0) return [{ path, detail: issue.message }];
  return [{ path, detail: [...wanted].join(' or ').replaceAll(' or must be ', ' or ') }];
}

/** Of the whole, not of something in it. */
function isOfWrongType({ code, path }: z.core.$ZodIssue): boolean {
  return code === 'invalid_type' && path.length === 0;
}
