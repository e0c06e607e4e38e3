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
  description: 'Agents of these names in `POST /runs` have these prompts unless they bring their own.',
  isPublic: true,
  responses: { 200: json(templateListSchema, 'The templates') },
});

templatesRouter.openapi(list, (c) => c.json({ templates: agentTemplates }, 200));
