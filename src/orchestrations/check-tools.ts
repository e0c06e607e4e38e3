import type { Principal } from '../accounts/principal.ts';
import type { Definition, Step } from '../../workflows/contract/definition.ts';
import { chooseTools } from '../agents/tools.ts';

/** Throws `InvalidInputError`, naming each tool of a step that this account does not have. */
export async function checkTools(
  deps: Parameters<typeof chooseTools>[0],
  principal: Principal,
  { steps }: Definition,
): Promise<void> {
  const wanted = steps.map((step) => ({ tools: toolsOf(step) }));
  await chooseTools(deps, principal, wanted, (at, index) => {
    return ['steps', at, ...(steps[at]!.type === 'tool' ? ['forced_tool'] : ['allowed_tools', index])];
  });
}

function toolsOf(step: Step) {
  if (step.type === 'tool') return [step.forced_tool];
  return step.type === 'agent' ? (step.allowed_tools ?? []) : [];
}
