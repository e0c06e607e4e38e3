import { z } from 'zod';

export const templateListSchema = z
  .object({
    templates: z.array(
      z
        .object({ name: z.string(), title: z.string(), system_prompt: z.string(), use_cases: z.array(z.string()) })
        .meta({ id: 'AgentTemplate' }),
    ),
  })
  .meta({ id: 'AgentTemplateList' });
