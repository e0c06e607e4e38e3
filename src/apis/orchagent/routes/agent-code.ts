import { z } from 'zod';
import { admitCode, filesRunBy, requireCoded, setVersionCode } from '../../../agents/agent-code.ts';
import { relativePath } from '../../../agents/package-schema.ts';
import { getOwnVersion } from '../../../agents/publish.ts';
import { keepBundle, removeBundle } from '../../../code/bundles.ts';
import { fileQuotasOf } from '../../../files/keep.ts';
import { createRouter, fileBody, json } from '../../../http/openapi.ts';
import { readUpload, takeUpload } from '../../../http/upload.ts';
import { sendBundle } from '../bundle.ts';
import { operation, zipContent } from '../operation.ts';
import { uploadedSchema, versionId } from '../schemas/agent.ts';

/** The code of agents of the engine `code_runtime`. */
export const agentCodeRouter = createRouter();

const tags = ['orchagent agents'];
const params = z.object({ version_id: versionId });

const upload = operation({
  method: 'post',
  path: '/{version_id}/upload',
  operationId: 'uploadAgentCode',
  scope: 'agents:write',
  isUpload: true,
  tags,
  summary: 'Upload the code bundle of a version (code runtime agents only)',
  description:
    'A ZIP archive of at most 50 MiB, in one part `file` of `multipart/form-data`: at most 1,000 files and 200 MiB unpacked, no links, no ' +
    'names that lead out of it. The code of a version never changes: other code is another version. The same archive is taken again.',
  request: {
    params,
    headers: z.object({
      'x-entrypoint': relativePath
        .optional()
        .meta({ description: 'What is run where no `runtime.command` is given.', example: 'main.py' }),
    }),
    body: fileBody('The archive.'),
  },
  responses: { 200: json(uploadedSchema, 'The code is kept') },
  problems: [404, 409],
});

agentCodeRouter.openapi(upload, async (c) => {
  const { deps, principal } = c.var;
  const version = await getOwnVersion(deps, principal, c.req.valid('param').version_id);
  requireCoded(version);
  const end = takeUpload(c);
  const { 'x-entrypoint': entrypoint = null } = c.req.valid('header');
  const quotas = fileQuotasOf(deps.config);
  const wanted = {
    needed: filesRunBy(version, entrypoint),
    admit: (code: { code_hash: string; bundle_size_bytes: number }) =>
      admitCode(deps, principal, version, code, quotas),
  };
  try {
    const kept = await readUpload(
      c,
      (content) => keepBundle(deps, content, wanted),
      (bundle) => removeBundle(deps, bundle),
    );
    const { code_hash, bundle_size_bytes } = kept;
    try {
      await setVersionCode(deps, principal, version, { code_hash, bundle_size_bytes, entrypoint }, quotas);
    } catch (error) {
      await removeBundle(deps, kept);
      throw error;
    }
    return c.json(
      { success: true as const, code_hash, bundle_size_bytes, environment_id: null, environment_source: null },
      200,
    );
  } finally {
    end();
  }
});

const bundle = operation({
  method: 'get',
  path: '/{version_id}/bundle',
  operationId: 'getAgentCode',
  scope: 'agents:read',
  tags,
  summary: 'The code bundle of a version',
  description: 'The archive as it was uploaded.',
  request: { params },
  responses: { 200: zipContent('The archive') },
  problems: [404],
});

agentCodeRouter.openapi(bundle, async (c) => {
  const version = await getOwnVersion(c.var.deps, c.var.principal, c.req.valid('param').version_id);
  return sendBundle(c, version);
});
