import type { UsageTold } from '../called.ts';
import type { Evidence } from '../evidence.ts';
import { runOf, type Invariant } from './runs.ts';

/** 48. What accounts are told of the use of their calls, and authors of calls by others, is exact to the journal, in all and in each part. */
export const useIsExact: Invariant = (e) =>
  e.usage.flatMap((told, index) => {
    const { name } = e.accounts[index]!;
    if (!told) return [`${name} was not told of its use`];
    const account_id = e.organisations.get(told.org)!;
    const own = e.called.filter((call) => call.account_id === account_id);
    const others = e.called.filter((call) => call.owner_id === account_id && call.account_id !== account_id);
    return [
      ...differ(`the use of ${name}`, paid(told.all), sumsOf(e, own)),
      ...partsDiffer(e, name, told.tenants, own, ({ tenant }) => tenant),
      ...partsDiffer(e, name, told.agents, own, ({ agent }) => agent),
      ...differ(`calls by others of ${name}`, counted(told.byOthers), countsOf(e, others)),
      ...differ(`the code of ${name}`, computed(told.compute), computeOf(e, own)),
    ];
  });

type Call = Evidence['called'][number];
type Told = UsageTold['all'];

function partsDiffer(e: Evidence, name: string, parts: Told[], own: Call[], of: (part: Told | Call) => string | null) {
  const due = Map.groupBy(own, of);
  const keys = new Set([...parts.map(of), ...due.keys()]);
  return [...keys].flatMap((key) => {
    const told = parts.find((part) => of(part) === key);
    return differ(`${key} of ${name}`, told && paid(told), sumsOf(e, due.get(key) ?? []));
  });
}

function differ(what: string, told: object | undefined, due: object): string[] {
  const [said, stands] = [told, due].map((sums) => JSON.stringify(sums));
  return said === stands ? [] : [`${what} was told to be ${said}, and is ${stands}`];
}

const counted = ({ calls, succeeded, failed, cancelled, unfinished }: Told) => ({
  calls,
  succeeded,
  failed,
  cancelled,
  unfinished,
});

/** In billionths of a dollar, as costs are kept: half a millionth more or less is the rounding of a sum. */
const paid = (told: Told) => ({
  ...counted(told),
  llm_calls: told.llm_calls,
  input: told.tokens.input,
  output: told.tokens.output,
  nanos: Math.round(told.cost_usd * 1e9),
});

const computed = ({ runs, wall_seconds }: Told) => ({ runs, wall_ms: Math.round(wall_seconds * 1_000) });

function countsOf(e: Evidence, calls: Call[]) {
  const runs = calls.map(({ run_id }) => runOf(e, run_id));
  const [succeeded, failed, cancelled] = ['completed', 'failed', 'cancelled'].map(
    (status) => runs.filter((run) => run.status === status).length,
  ) as [number, number, number];
  const unfinished = runs.length - succeeded - failed - cancelled;
  return { calls: calls.length, succeeded, failed, cancelled, unfinished };
}

function sumsOf(e: Evidence, calls: Call[]) {
  const ids = new Set<string | null>(calls.map(({ run_id }) => run_id));
  const rows = e.llm_calls.filter(({ run_id }) => ids.has(run_id));
  const sum = (of: (row: (typeof rows)[number]) => number | null) => rows.reduce((all, row) => all + (of(row) ?? 0), 0);
  return {
    ...countsOf(e, calls),
    llm_calls: rows.length,
    input: sum(({ input_tokens }) => input_tokens),
    output: sum(({ output_tokens }) => output_tokens),
    nanos: Math.round(sum(({ cost_usd }) => cost_usd) * 1e9),
  };
}

function computeOf(e: Evidence, calls: Call[]) {
  const ids = new Set(calls.map(({ run_id }) => run_id));
  const rows = e.code_runs.filter(({ run_id }) => ids.has(run_id));
  return { runs: rows.length, wall_ms: rows.reduce((sum, { wall_ms }) => sum + (wall_ms ?? 0), 0) };
}
