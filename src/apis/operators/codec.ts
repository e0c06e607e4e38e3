import { z } from 'zod';
import type { Payload, PayloadCodec } from '@temporalio/common';
import { Hono, type Context } from 'hono';
import { cors } from 'hono/cors';
import type { Config } from '../../config.ts';
import { isSameSecret } from '../../crypto.ts';
import { InvalidInputError } from '../../errors.ts';
import { limitBody, readBody, requireJson } from '../../http/body.ts';
import type { AppEnv } from '../../http/env.ts';
import { countGuess } from '../../http/limit.ts';
import { HttpError } from '../../http/problems.ts';
import type { RateLimit, RateLimits } from '../../http/rate-limits.ts';
import { createPayloadCodec } from '../../temporal/payload-codec.ts';

const payloadsSchema = z.object({
  payloads: z.array(z.object({ metadata: z.record(z.string(), z.base64()).default({}), data: z.base64().default('') })),
});

/** Mounts the codec server at `/codec/`, where the operator has set a `CODEC_TOKEN`. */
export function mountCodec(app: Hono<AppEnv>, { config, limits }: { config: Config; limits: RateLimits }) {
  const { CODEC_TOKEN: token, CODEC_ORIGINS: origins, ENCRYPTION_KEY } = config;
  if (!token) return;
  const codec = createPayloadCodec(ENCRYPTION_KEY, { encrypts: true });
  // With its slash: browsers keep the token for what is below.
  app.get('/codec', (c) => c.redirect('/codec/'));
  app.route('/codec/', createCodecRouter({ codec, token, origins, failures: limits.failedTokens }));
}

type CodecServer = { codec: PayloadCodec; token: string; origins: string[]; failures: RateLimit | undefined };

/**
 * A codec server of Temporal (https://docs.temporal.io/codec-server), with which the Web UI and the CLI show encrypted
 * payloads: `POST /decode` and `POST /encode` take and return `{payloads: [{metadata, data}]}`, bytes in base64. For
 * operators: it wants the token as `Authorization: Bearer`, or as the password of `Basic`, which browsers can keep.
 */
function createCodecRouter({ codec, token, origins, failures }: CodecServer) {
  const router = new Hono<AppEnv>();

  function isOperator(authorization = ''): boolean {
    const [, scheme = '', value = ''] = /^(Bearer|Basic) +(\S+)$/i.exec(authorization) ?? [];
    const isBasic = scheme.toLowerCase() === 'basic';
    const given = isBasic ? Buffer.from(value, 'base64').toString().split(':').slice(1).join(':') : value;
    return isSameSecret(given, token);
  }

  async function convert(c: Context<AppEnv>, how: 'encode' | 'decode'): Promise<Response> {
    const body = payloadsSchema.safeParse(await c.req.json());
    if (!body.success)
      throw new InvalidInputError([{ path: ['payloads'], detail: 'must be a list of payloads in base64' }]);
    const payloads = body.data.payloads.map(fromJson);
    const converted = await codec[how](payloads).catch(() => {
      throw new InvalidInputError([{ path: ['payloads'], detail: 'were encrypted with another key, or changed' }]);
    });
    c.var.deps.log.info({ payloads: payloads.length, request_id: c.var.requestId }, `codec: ${how}`);
    return c.json({ payloads: converted.map(toJson) });
  }

  const headers = ['content-type', 'authorization', 'x-namespace'];
  router.use(cors({ origin: origins, allowHeaders: headers, allowMethods: ['POST'], credentials: true, maxAge: 600 }));
  router.use(async function requireOperator(c, next) {
    const authorization = c.req.header('authorization');
    const isRight = isOperator(authorization);
    // A browser that has forgotten the token asks without one for each payload.
    if (authorization) await countGuess(c, failures, isRight);
    if (isRight) return next();
    // Browsers ask for the password only when they understand the whole header: no second scheme in it.
    const authenticate = 'Basic realm="Orchflow codec", charset="UTF-8"';
    throw new HttpError('UNAUTHORIZED', 'Send the operator token (CODEC_TOKEN).', { authenticate });
  });
  router.use(limitBody(16), requireJson(), readBody());
  router.get('/', (c) =>
    c.text('This browser may decode now: go back to the Temporal Web UI and load the page again.'),
  );
  router.post('/encode', (c) => convert(c, 'encode'));
  router.post('/decode', (c) => convert(c, 'decode'));
  return router;
}

function fromJson({ metadata, data }: { metadata: Record<string, string>; data: string }): Payload {
  const entries = Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')]);
  return { metadata: Object.fromEntries(entries), data: Buffer.from(data, 'base64') };
}

function toJson({ metadata, data }: Payload) {
  const base64 = (bytes: Uint8Array | null | undefined) => Buffer.from(bytes ?? []).toString('base64');
  const entries = Object.entries(metadata ?? {}).map(([name, value]) => [name, base64(value)]);
  return { metadata: Object.fromEntries(entries) as Record<string, string>, data: base64(data) };
}
