import { requestObject } from '../../../fields.ts';
import { agentRunShape } from '../../../runs/agent-run-schema.ts';

/** One run of a registered agent. */
export const createAgentRunSchema = requestObject(agentRunShape).meta({ id: 'CreateAgentRun' });
