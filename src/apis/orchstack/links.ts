import { links } from '../../http/openapi.ts';

/** Where an answer leads that names an agent at this place of its body. */
export function agentLinks(agent_id = '/agent_id') {
  const changes = ['orchstackUpdateAgent', 'orchstackDeleteAgent', 'orchstackRunAgent'];
  return links({ agent_id }, 'orchstackGetAgent', ...changes);
}

/** Where an answer leads that names a run at this place of its body. */
export function runLinks(run_id = '/run_id') {
  return links({ run_id }, 'orchstackGetRun', 'orchstackUpdateRun', 'orchstackDeleteRun');
}
