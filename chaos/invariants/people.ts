import { entries, type Invariant } from './runs.ts';

/** 36. Who answers with a key of their own has the gate, or nobody has it, and they have its skills; such an answer is theirs. */
export const gatesAreAnsweredByWhomTheyAreWith: Invariant = (e) => {
  const faults: string[] = [];
  for (const events of Map.groupBy(e.events, ({ run_id }) => run_id).values()) {
    const holders = new Map<unknown, unknown>();
    for (const { type, data, run_id } of events.toSorted((a, b) => a.seq - b.seq)) {
      if (isAssignment(type)) holders.set(data.gate_id, data.person_id);
      const by = data.by as { kind: string; id: string } | undefined;
      if (type !== 'gate.answered' || by?.kind !== 'person') continue;
      const holder = holders.get(data.gate_id);
      const asksFor = e.gates.find(({ gate_id }) => gate_id === data.gate_id)?.skills ?? [];
      const may = holder === undefined ? asksFor.length > 0 : holder === by.id;
      if (!may)
        faults.push(`${run_id}: ${by.id} has answered ${data.gate_id as string}, which was with ${String(holder)}`);
    }
  }
  for (const { person_id, gate_id, outcome } of entries(e, 'complete')) {
    const by = e.gates.find((gate) => gate.gate_id === gate_id)?.by;
    if (!person_id || outcome !== 'ok') continue;
    if (by?.kind !== 'person' || by.id !== person_id)
      faults.push(`${gate_id}: ${person_id} was told that it is answered`);
  }
  return faults;
};

/** 37. So many open gates and no more, at each moment; who is given one is told of it once, where they have said where. */
export const peopleAreGivenWhatTheyMayHave: Invariant = (e) => {
  const tooMany = e.given.filter(({ open, max_open }) => max_open !== null && open > max_open);
  const faults = tooMany.map(({ person_id, gate_id, open }) => `${person_id} had ${open} gates with ${gate_id}`);
  const told = new Map(e.deliveries.map((delivery) => [delivery.delivery_id, delivery]));
  const toTell = new Set(e.accounts.flatMap(({ people: [first] }) => first?.person_id ?? []));
  for (const { type, run_id, seq, data } of e.events) {
    if (!isAssignment(type) || !toTell.has(String(data.person_id))) continue;
    if (!told.has(`msg_${run_id}_notice-${seq}`))
      faults.push(`${data.person_id as string} was not told of ${data.gate_id as string}`);
  }
  return faults;
};

const isAssignment = (type: string) => type === 'gate.assigned' || type === 'gate.unassigned';
