/** Pure functions over tasks and their dependencies. Ids may be hostile (`__proto__`), so look-ups use Map and Set. */

type Node = { id: string; depends_on: string[] };

/** Ids in an order in which every task comes after what it depends on, or undefined when there is a cycle. */
export function topologicalOrder(nodes: Node[]): string[] | undefined {
  const waitingFor = new Map(nodes.map((node) => [node.id, new Set(node.depends_on)]));
  const order: string[] = [];
  while (order.length < nodes.length) {
    const ready = nodes.filter((node) => waitingFor.get(node.id)?.size === 0);
    if (ready.length === 0) return undefined;
    for (const { id } of ready) {
      waitingFor.delete(id);
      order.push(id);
      for (const rest of waitingFor.values()) rest.delete(id);
    }
  }
  return order;
}

/** All tasks before `id` in the graph, nearest to the start first. */
export function ancestors(nodes: Node[], id: string): string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const found = new Set<string>();
  const visit = (current: string) => {
    for (const dependency of byId.get(current)?.depends_on ?? []) {
      if (found.has(dependency)) continue;
      visit(dependency);
      found.add(dependency);
    }
  };
  visit(id);
  return [...found];
}

/** Each task after the one before it. */
export function chain(ids: string[]): Node[] {
  return ids.map((id, index) => ({ id, depends_on: index === 0 ? [] : [ids[index - 1]!] }));
}
