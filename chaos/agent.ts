import type { ModelCall, Reply } from '../test/fakes/model.ts';
import { carefulAgent } from './accounts.ts';
import type { Random } from './random.ts';

/** Told from all others, so that a call of a tool is known again wherever it comes to light. */
let orders = 0;

/** Where people approve each call: the agents of these names, and the step. */
const isCareful = new RegExp(`the agent "(writer|${carefulAgent})"|workflow: "publish"`);

/** In what an agent asks of another one, and in what is never answered in time. */
export const below_mark = '[below]';
export const late_mark = '[late]';
/** In what an agent is asked that asks of another one what is never answered in time. */
export const lateBelow_mark = '[late below]';

/** What the model of an agent with tools answers: it calls some. Undefined when it has none, or enough. */
export function agentReply(call: ModelCall, web: string, random: Random): Reply | undefined {
  const { tools, tool_choice, calls, system } = call;
  if (tools.length === 0 || tool_choice === 'none') return undefined;
  if (tools.every(({ description }) => description.startsWith(calledMark))) return leadReply(call, random);
  const place = isCareful.test(system) ? 'careful' : 'free';
  const order = () => {
    orders += 1;
    return { name: 'http_request', arguments: { url: `${web}/${place}`, method: 'POST', body: `order-${orders}` } };
  };
  if (tool_choice === 'http_request') return { call: [order()] };
  const made = calls.length;
  if (made === 0) {
    const computes = tools.some(({ name }) => name === 'run_javascript');
    return { text: 'First I look.', call: computes ? [order(), computation(random)] : [order()] };
  }
  return made < 3 && random.chance(0.4) ? { call: [order()] } : undefined;
}

/** How the descriptions of agents begin that others call. */
export const calledMark = 'Asked by others: ';

/** It calls each of the others once, mostly, at the same time, and sometimes one of them again. */
function leadReply({ tools, calls, prompt }: ModelCall, random: Random): Reply | undefined {
  const ask = (name: string) => {
    orders += 1;
    const late = prompt.includes(lateBelow_mark) ? ` ${late_mark}` : '';
    return { name, arguments: { text: `${below_mark}${late} Look for number ${orders}.` } };
  };
  if (calls.length === 0) return { text: 'First I ask.', call: tools.map(({ name }) => ask(name)) };
  return calls.length < 4 && random.chance(0.3) ? { call: [ask(random.pick(tools).name)] } : undefined;
}

function computation(random: Random) {
  const [a, b] = [random, random].map(({ between }) => Math.floor(between(100, 1_000)));
  return { name: 'run_javascript', arguments: { code: `({ product: ${a} * ${b} })` } };
}

/** What the code of such a call comes to. */
export function productOf(code: string): number {
  const [a, b] = code.match(/\d+/g)!.map(Number);
  return a! * b!;
}
