import type { Definition, Step } from '../../workflows/contract/definition.ts';
import { chooseTools } from '../agents/tools.ts';

/** Throws a 422 that names each tool of a step that this account does not have. */
export async function checkTools(
  deps: Parameters<typeof chooseTools>[0],
  account_id: string,
  { steps }: Definition,
): Promise<void> {
  const wanted = steps.map((step) => ({ tools: toolsOf(step) }));
  await chooseTools(deps, account_id, wanted, (at, index) => {
    const field = steps[at]!.type === 'tool' ? 'forced_tool' : `allowed_tools/${index}`;
    return `/steps/${at}/${field}`;
  });
}

function toolsOf(step: Step) {
  if (step.type === 'tool') return [step.forced_tool];
  return step.type === 'agent' ? (step.allowed_tools ?? []) : [];
}
