import { z } from 'zod';
import { id } from '../fields.ts';
import { maxAttachments } from '../files/attach.ts';

/** Files that a run is given, in every surface. */
export const attachmentsShape = {
  attachments: z
    .array(id)
    .max(maxAttachments)
    .refine((ids) => new Set(ids).size === ids.length, 'must be different')
    .default([])
    .meta({
      description:
        'Ids of files of this account. Models are given their texts, and of files that are none the name, media type and size. ' +
        'A key needs `files:read` or `files:write` for them.',
      example: ['file_4k2m9x0000000000abcd'],
    }),
};

export const attachmentSchema = z
  .object({ file_id: z.string(), name: z.string(), media_type: z.string(), size: z.int() })
  .meta({ id: 'Attachment', description: 'A file as it was when it was attached; it may be deleted since.' });
