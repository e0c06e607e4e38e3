import { uuidOf } from '../../src/ids.ts';
import type { Attack } from './tenant.ts';

/** Calls of agents, and of what is told of calls: others' that are private, forged chains, and bodies that are none. */

const root = { isOfRoot: true as const };

/** Agents, runs and versions of another organisation: each of these is 404, as if it did not exist. */
const othersCalls: Attack = async ({ post, get, ask, spy }) => {
  const [others, offer] = [await spy.others(), await spy.offer()];
  if (!others || !offer) return;
  const { org, workspace_id, version_id } = offer;
  const call = (path: string) => post(`/${org}/${path}`, { text: 'xstolen' }, [404], root);
  await Promise.all(['lead/v1/run', 'teller/latest/run', 'reader/v9/run', 'reader/v1/elsewhere'].map(call));
  await get(`/workspaces/${workspace_id}/runs`, [404], root);
  await get(`/workspaces/${workspace_id}/runs/${uuidOf(others.run_id)}/logs`, [404], root);
  await get(`/agents/${version_id}`, [404], root);
  await get(`/agents/${version_id}/logs`, [404], root);
  await get(`/agents/${version_id}/bundle`, [404], root);
  await post(`/agents/${version_id}/fork`, {}, [404], root);
  await post(`/agents/${version_id}/keys`, undefined, [404], root);
  await ask({ method: 'PATCH', path: `/agents/${version_id}`, body: { is_public: true }, due: [404], ...root });
  await ask({ method: 'DELETE', path: `/agents/${version_id}?confirmation_name=lead`, due: [404], ...root });
};

/** A public agent of another, with what is none, a chain that nobody has signed, and who else is to pay. */
const badCalls: Attack = async ({ post, spy }) => {
  const offer = await spy.offer();
  if (!offer) return;
  const { org, workspace_id } = offer;
  const call = (body: unknown, due: number, headers: Record<string, string> = {}) =>
    post(`/${org}/reader/v1/run`, body, [due, 429], { headers, ...root });
  await call('[]', 400);
  await call('{"text": ', 400);
  await call({ text: 1 }, 400);
  await call({}, 400);
  const text = { text: 'Take what there is.' };
  await call(text, 403, { 'x-orchagent-call-chain': `${org}/lead@v1`, 'x-orchagent-call-chain-sig': 'run_x.forged' });
  await call(text, 403, { 'x-orchagent-billing-org-id': workspace_id, 'x-orchagent-billing-org-sig': 'forged' });
  await call(text, 400, { 'x-orchagent-max-hops': 'many' });
  await call(text, 415, { 'content-type': 'text/plain' });
};

export const callers = { othersCalls, badCalls };
