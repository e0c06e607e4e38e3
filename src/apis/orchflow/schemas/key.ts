import { z } from 'zod';
import { keyShape, newKeyShape } from '../../../accounts/keys-schema.ts';
import { requestObject } from '../../../fields.ts';

export const createKeySchema = requestObject(newKeyShape).meta({ id: 'CreateKey' });

const keySchema = z.object(keyShape('orch_4k2m')).meta({ id: 'Key' });

export const keyCreatedSchema = keySchema
  .extend({ api_key: z.string().meta({ description: 'Shown once. Only its hash is kept.', example: 'orch_…' }) })
  .meta({ id: 'KeyCreated' });

export const keyListSchema = z.object({ keys: z.array(keySchema) }).meta({ id: 'KeyList' });
