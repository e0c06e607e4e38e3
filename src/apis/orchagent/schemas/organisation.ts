import { z } from 'zod';
import { slugPattern } from '../../../accounts/slugs.ts';
import { line, requestObject, timestamp } from '../../../fields.ts';

const uuid = z.string().meta({ example: '1b4e28ba-2fa1-8d3e-883f-b9a761bde3fb' });
const slug = z
  .string()
  .regex(slugPattern, 'must be of at most 64 lower-case letters, digits and "-", and begin with a letter or digit')
  .meta({
    description: 'It stands in the paths of the agents: `/{org}/{agent}/{version}/{endpoint}`.',
    example: 'acme',
  });

export const orgSchema = z
  .object({ id: uuid, name: z.string(), slug: z.string().meta({ example: 'acme' }), created_at: timestamp })
  .meta({ id: 'Organisation' });

export const updateOrgSchema = requestObject({ name: line(200).optional(), slug: slug.optional() }).meta({
  id: 'UpdateOrganisation',
});

export const meSchema = z
  .object({ user: z.object({ id: uuid, display_name: z.string(), email: z.string() }) })
  .meta({ id: 'Me' });

export const workspacesSchema = z
  .object({
    workspaces: z.array(
      z.object({
        id: uuid,
        name: z.string(),
        slug: z.string(),
        type: z.enum(['personal', 'team']),
        role: z.enum(['owner', 'member']),
        member_count: z.int(),
      }),
    ),
  })
  .meta({ id: 'Workspaces' });

export const newWorkspaceSchema = requestObject({ name: line(200).optional(), slug: slug.optional() }).meta({
  id: 'CreateWorkspace',
});

export const loggedOutSchema = z.object({ logged_out: z.boolean(), message: z.string() }).meta({ id: 'LoggedOut' });
