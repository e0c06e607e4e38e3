import type { Db } from '../../db/index.ts';
import { namesRegistered, type Definition, type Step, type StepAgent } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import type { AgentInput } from '../agents/models.ts';
import { registeredAgents } from '../agents/named.ts';
import { findTemplate } from '../agents/templates.ts';
import { requireNone, type Path } from '../errors.ts';

/** The agents of steps: registered ones, templates, and those of the orchestration itself. */

/**
 * The agent of each step that has one, or a model of its own, under the id of the step; and where in the definition each is
 * named. A registered one fills in what its step does not say. Throws `NOT_FOUND` for ids and versions that the account does not
 * have, and `InvalidInputError` for one whose output would have to be approved.
 */
export async function agentsOfSteps(
  db: Db,
  principal: Principal,
  { steps }: Definition,
): Promise<{ agents: AgentInput[]; pathOf: (index: number, ...member: Path) => Path }> {
  const own = steps.flatMap((step, at) => {
    const asked = askedAgent(step);
    return asked ? [{ step, at, asked }] : [];
  });
  const named = own.flatMap((one) => ('named' in one.asked ? [{ ...one, named: one.asked.named }] : []));
  const pathOfNamed = (index: number, ...member: Path): Path => ['steps', named[index]!.at, 'agent', ...member];
  const given = named.map(({ step, named: { name, agent_id, version, system_prompt, model } }) => ({
    name,
    agent_id,
    version,
    system_prompt,
    model: ('model' in step ? step.model : null) ?? model,
    tools: step.type === 'agent' ? (step.allowed_tools ?? undefined) : [],
  }));
  const filled = await registeredAgents(db, principal, given, pathOfNamed);
  requireNone(
    filled.flatMap(({ require_approval, name }, index) => {
      const detail = `the agent "${name}" has its output approved, which steps do not; put a human step after one that does not ask for it`;
      return require_approval ? [{ path: pathOfNamed(index), detail }] : [];
    }),
  );

  const agents = own.map(({ step, asked }): AgentInput => {
    if (!('named' in asked)) return { ...asked, name: step.id };
    const agent = filled[named.findIndex((one) => one.step === step)]!;
    return { ...agent, name: step.id, system_prompt: agent.system_prompt?.trim() || promptOf(agent.name, agent.name) };
  });
  const pathOf = (index: number, ...[member, ...more]: Path): Path => {
    const { at, step, asked } = own[index]!;
    if (member === 'tools' && step.type === 'agent' && step.allowed_tools)
      return ['steps', at, 'allowed_tools', ...more];
    const isOfAgent = member === 'tools' || ('named' in asked && !('model' in step && step.model));
    return ['steps', at, isOfAgent ? 'agent' : 'model'];
  };
  return { agents, pathOf };
}

/** What a step says of its agent; undefined for one that has neither an agent nor a model of its own. */
function askedAgent(step: Step): { named: StepAgent } | { system_prompt: string; model: string | null } | undefined {
  if (!('model' in step)) return undefined;
  const agent = (step.type === 'agent' || step.type === 'llm' ? step.agent : null) ?? null;
  if (agent && namesRegistered(agent)) return { named: agent };
  const template = 'agent_id' in step ? step.agent_id : null;
  const model = step.model ?? agent?.model ?? null;
  if (step.type !== 'agent' && !agent && model === null && template === null) return undefined;
  const system_prompt = agent?.system_prompt?.trim() || promptOf(template ?? agent?.name, agent?.name ?? step.name);
  return { system_prompt, model };
}

/** That of the template of this name, or one that says who it is. */
function promptOf(template: string | undefined, name: string): string {
  return findTemplate(template ?? '')?.system_prompt ?? `You are an expert ${name}.`;
}
