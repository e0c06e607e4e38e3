import { createRouter, json, route } from '../../../http/openapi.ts';
import { templateListSchema } from '../schemas/template.ts';
import { agentTemplates } from '../../../agents/templates.ts';

export const templatesRouter = createRouter();

const list = route({
  method: 'get',
  path: '/templates',
  operationId: 'listAgentTemplates',
  tags: ['Agents'],
  summary: 'The built-in agents, with their prompts and use cases',
  isPublic: true,
  responses: { 200: json(templateListSchema, 'The templates') },
});

templatesRouter.openapi(list, (c) => c.json({ templates: agentTemplates }, 200));
