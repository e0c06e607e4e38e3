import { z } from 'zod';
import { estimateDays, listPublicAgents, sampleCosts } from '../../../../db/public-agents.ts';
import { getOffer, type OfferRef } from '../../../agents/offers.ts';
import { packageOf } from '../../../agents/packages.ts';
import type { AppEnv } from '../../../http/env.ts';
import { createRouter, json } from '../../../http/openapi.ts';
import { metadataOf, publicAgent, refuseClosed } from '../agent-view.ts';
import { sendBundle } from '../bundle.ts';
import { operation, zipContent } from '../operation.ts';
import {
  downloadSchema,
  estimateSchema,
  offerParams,
  publicAgentSchema,
  publicListedSchema,
  publicListQuery,
} from '../schemas/agent.ts';

/** What anybody may know of the agents that their authors have made public. No key is needed. */
export const publicRouter = createRouter();

const tags = ['orchagent public'];
const path = '/agents/{org}/{agent}/{version}';

/** What nobody has made public is not there, also for its own account: a key is not looked at. */
async function getPublic({ db }: AppEnv['Variables']['deps'], ref: OfferRef) {
  return (await getOffer(db, null, ref)).version;
}

const list = operation({
  method: 'get',
  path: '/agents',
  operationId: 'listPublicAgents',
  isPublic: true,
  tags,
  summary: 'List public agents',
  description:
    'Each once, as its newest public version says that is not deprecated. A page is at most 100; `offset` leads to the next.',
  request: { query: publicListQuery },
  responses: { 200: json(z.array(publicListedSchema), 'The agents, as a bare list') },
  problems: [429],
});

publicRouter.openapi(list, async (c) => {
  const found = await listPublicAgents(c.var.deps.db, c.req.valid('query'));
  return c.json(
    found.map((version) => ({ ...metadataOf(version), stars_count: version.callers })),
    200,
  );
});

const get = operation({
  method: 'get',
  path,
  operationId: 'getPublicAgent',
  isPublic: true,
  tags,
  summary: 'Get agent details',
  description:
    'Of an agent that may not be downloaded, or that costs, its prompt, manifest and files, and all else that it is made of, are null.',
  request: { params: offerParams },
  responses: { 200: json(publicAgentSchema, 'The version, bare') },
  problems: [404, 429],
});

publicRouter.openapi(get, async (c) => {
  return c.json(publicAgent(await getPublic(c.var.deps, c.req.valid('param'))), 200);
});

const download = operation({
  method: 'get',
  path: `${path}/download`,
  operationId: 'downloadAgent',
  isPublic: true,
  tags,
  summary: 'Download an agent, to run it yourself',
  description:
    'Refused with `DOWNLOAD_DISABLED` where its author does not let it, and with `PAID_AGENT_SERVER_ONLY` where it costs.',
  request: { params: offerParams },
  responses: { 200: json(downloadSchema, 'All that it is made of') },
  problems: [403, 404, 429],
});

publicRouter.openapi(download, async (c) => {
  const version = await getPublic(c.var.deps, c.req.valid('param'));
  refuseClosed(version);
  const dependencies = packageOf(version.spec).manifest?.dependencies ?? [];
  return c.json({ ...publicAgent(version), has_bundle: version.code_hash !== null, dependencies }, 200);
});

const estimate = operation({
  method: 'get',
  path: `${path}/cost-estimate`,
  operationId: 'estimateAgentCost',
  isPublic: true,
  tags,
  summary: 'What calls of an agent have cost',
  description:
    'Of its newest calls in thirty days that have ended, a thousand at most: what their models cost, whoever called. Of fewer than five ' +
    'nothing is told, and of a model that fewer have used neither.',
  request: { params: offerParams },
  responses: { 200: json(estimateSchema, 'The estimate') },
  problems: [404, 429],
});

publicRouter.openapi(estimate, async (c) => {
  const version = await getPublic(c.var.deps, c.req.valid('param'));
  const { org_slug, name, version: number, type, execution_engine, supported_providers } = metadataOf(version);
  const sample = await sampleCosts(c.var.deps.db, version);
  const agent = `${org_slug}/${name}@${number}`;
  const metadata = { request_id: c.var.requestId };
  return c.json(
    {
      agent,
      type,
      execution_engine,
      supported_providers,
      estimate: { ...sample, period_days: estimateDays },
      metadata,
    },
    200,
  );
});

const bundle = operation({
  method: 'get',
  path: `${path}/bundle`,
  operationId: 'downloadAgentCode',
  isPublic: true,
  tags,
  summary: 'Download the code bundle of an agent',
  description: 'Of one that may be downloaded, as its `download` says.',
  request: { params: offerParams },
  responses: { 200: zipContent('The archive') },
  problems: [403, 404, 429],
});

publicRouter.openapi(bundle, async (c) => {
  const version = await getPublic(c.var.deps, c.req.valid('param'));
  refuseClosed(version);
  return sendBundle(c, version);
});
