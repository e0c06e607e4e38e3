import type { Principal } from '../accounts/principal.ts';
import { asAgentTool, type Definition, type Step } from '../../workflows/contract/definition.ts';
import { chooseTools } from '../agents/tools.ts';
import type { Path } from '../errors.ts';

type Deps = Parameters<typeof chooseTools>[0];

/** Throws `InvalidInputError`, naming each tool of a step that this account does not have. */
export async function checkTools(deps: Deps, principal: Principal, { steps }: Definition): Promise<void> {
  const wanted = steps.map((step) => ({ tools: toolsOf(step) }));
  await chooseTools(deps, principal, wanted, (at, index) => {
    return ['steps', at, ...(steps[at]!.type === 'tool' ? ['forced_tool'] : ['allowed_tools', index])];
  });
}

/** The same of steps that the request does not have itself: each tool is named once, at what of it leads to them. */
export async function checkToolsAt(deps: Deps, principal: Principal, steps: Step[], at: Path): Promise<void> {
  const names = steps.flatMap((step) => toolsOf(step).map((tool) => asAgentTool(tool).name));
  await chooseTools(deps, principal, [{ tools: [...new Set(names)] }], () => at);
}

function toolsOf(step: Step) {
  if (step.type === 'tool') return [step.forced_tool];
  return step.type === 'agent' ? (step.allowed_tools ?? []) : [];
}
