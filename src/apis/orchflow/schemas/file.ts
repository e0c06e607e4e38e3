import { z } from 'zod';
import { timestamp } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';

export const fileSchema = z
  .object({
    file_id: z.string(),
    name: z.string().meta({ example: 'brief.md' }),
    media_type: z.string().meta({
      description: 'As it was sent; `application/octet-stream` where that was none.',
      example: 'text/markdown',
    }),
    size: z.int().meta({ description: 'In bytes.' }),
    sha256: z.string().meta({ description: 'Of its bytes, in hexadecimal digits.' }),
    created_at: timestamp,
  })
  .meta({ id: 'File' });

export const fileListQuery = z.object({ limit, cursor });

export const fileListSchema = z
  .object({ files: z.array(fileSchema), has_more: z.boolean(), next_cursor: z.string().nullable() })
  .meta({ id: 'FileList' });

export const fileDeletedSchema = z
  .object({ file_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'FileDeleted' });
