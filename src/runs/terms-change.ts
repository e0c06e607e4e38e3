import type { Db } from '../../db/index.ts';
import { findDefinition } from '../../db/orchestrations.ts';
import type { TermsChange } from '../../db/run-changes.ts';
import type { Run } from '../../db/schema.ts';
import { gateTerms } from '../../workflows/contract/gate-terms.ts';
import { gateName } from '../../workflows/contract/plan.ts';
import { requireNone, type FieldFault } from '../errors.ts';
import { onTimeoutFaults } from './form-terms.ts';
import { gatesWithTerms, gateTermsFaults } from './gate-terms.ts';

/** Throws `InvalidInputError` for terms that cannot work together with what else the run has. */
export async function checkTermsChange(
  db: Db,
  run: Run,
  change: TermsChange,
  minReminderSeconds: number,
): Promise<void> {
  const given = gateTerms.filter((name) => name in change);
  if (given.length === 0) return;
  const { on_timeout } = change;
  const terms = Object.fromEntries(gateTerms.map((name) => [name, change[name] ?? run[name]]));
  const found = gateTermsFaults(terms, gatesWithTerms(run.human_gates), minReminderSeconds);
  const ofRun = found.filter(({ path }) => path.length === 1);
  // What the run lacks, its gates lack too.
  const ofGates = found.filter(({ path }) => path.length > 1 && !ofRun.some((fault) => fault.path[0] === path.at(-1)));
  const ofForms =
    on_timeout && run.definition_hash ? onTimeoutFaults(await findDefinition(db, run.definition_hash), on_timeout) : [];
  requireNone([...ofRun, ...ofGates.map((fault) => atGiven(fault, given[0]!)), ...ofForms]);
}

/** Warns, in a sentence for each, of the gates and human steps that keep terms of their own in place of those in `change`. */
export async function warningsOfOwnTerms(
  db: Db,
  { kind, human_gates, definition_hash }: Pick<Run, 'kind' | 'human_gates' | 'definition_hash'>,
  change: TermsChange,
): Promise<string[]> {
  const given = gateTerms.filter((name) => name in change);
  if (given.length === 0) return [];
  const ofGates = gatesWithTerms(human_gates).flatMap(({ at, own }) => {
    const kept = given.filter((name) => name in own).map((name) => `\`${name}\``);
    if (kept.length === 0) return [];
    const gate = gateName(human_gates[Number(at[1])]!);
    const which = kind === 'goal' ? `\`${at.map(String).join('/')}\` ("${gate}")` : `The step "${gate}"`;
    return [`${which} keeps its own ${kept.join(', ')}.`];
  });
  const isTimed = given.includes('gate_due_in') || given.includes('on_timeout');
  if (!isTimed || definition_hash === null) return ofGates;
  const { steps } = await findDefinition(db, definition_hash);
  // It is a due date with `reject`, and not among the terms in `human_gates`.
  const timed = steps.filter((step) => step.type === 'human' && step.human_timeout_seconds !== null);
  return [...ofGates, ...timed.map(({ id }) => `The step "${id}" keeps its own \`human_timeout_seconds\`.`)];
}

/** A gate with terms of its own is not in the request: what does not go with it is. */
function atGiven({ path, detail }: FieldFault, given: string): FieldFault {
  return { path: [given], detail: `does not go with \`${path.map(String).join('/')}\` of the run, which ${detail}` };
}
