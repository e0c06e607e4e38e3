import { expect, test } from 'vitest';
import { ask, useFakeModel } from '../fakes/ask.ts';
import type { FakeVendor } from '../fakes/wire.ts';

/** Vendors that take no more calls of an account, in their own words and under whatever status; and what only looks like it. */

const { fake, fetch } = await useFakeModel();

async function typeOf(vendor: FakeVendor, status: number, said: string | object): Promise<string> {
  const message = typeof said === 'string' ? { message: said, type: 'invalid_request_error' } : said;
  fake.on(() => ({ status, body: { error: message } }));
  const failure: unknown = await ask(fake, vendor, { fetch }).catch((error: unknown) => error);
  return (failure as { type: string }).type;
}

test.each<[FakeVendor, number, string | object]>([
  [
    'anthropic',
    400,
    'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
  ],
  ['anthropic', 400, 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.'],
  ['openai', 429, { message: 'You exceeded your current quota, please check your plan.', code: 'insufficient_quota' }],
  ['openai', 400, 'Billing hard limit has been reached'],
  [
    'openai',
    429,
    { message: 'Your account is not active, please check your billing details.', type: 'billing_not_active' },
  ],
  ['openai', 429, 'Your account org-1 <ak-1> is suspended due to insufficient balance, please recharge your account'],
  ['openai', 429, 'Insufficient balance or no resource package. Please recharge.'],
  ['openai', 429, '余额不足或无可用资源包,请充值。'],
  ['openai', 403, '预扣费额度失败, 用户剩余额度: ＄0.00'],
  ['openai', 403, { message: 'user quota is not enough', code: 'insufficient_user_quota' }],
  ['openai', 403, 'Sorry, your account balance is insufficient'],
  ['openai', 400, { message: 'Access denied, please make sure your account is in good standing.', code: 'Arrearage' }],
  ['openai', 403, 'The free tier of the model has been exhausted. If you wish to continue, pay.'],
  ['openai', 403, 'The request failed because your account has an overdue balance.'],
  ['openai', 429, 'Your team 1-2 has either used all available credits or reached its monthly spending limit.'],
  ['openai', 403, "Your newly created teams doesn't have any credits yet. You can purchase credits."],
  ['openai', 412, 'Account acme-1 is suspended, possibly due to reaching the monthly spending limit'],
  [
    'openai',
    400,
    { message: 'Budget has been exceeded! Current cost: 10.2, Max budget: 10.0', type: 'budget_exceeded' },
  ],
  ['openai', 429, 'You are using a Trial key, which is limited to 1000 API calls / month.'],
  ['gemini', 429, 'Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing.'],
  ['gemini', 429, 'Your project has exceeded its monthly spending cap. Please go to AI Studio to manage it.'],
  ['ollama', 429, 'you have reached your weekly usage limit, please upgrade to continue'],
])('%s %i %j is a used-up account', async (vendor, status, said) => {
  expect(await typeOf(vendor, status, said)).toBe('LlmQuotaExhausted');
});

test.each<[FakeVendor, number, string | object]>([
  ['anthropic', 400, 'This organization has been disabled.'],
  ['anthropic', 400, 'Access to Anthropic models is not allowed from unsupported countries, regions, or territories.'],
  ['openai', 400, 'Organization has been restricted. Please reach out to support if you believe this was in error.'],
  ['openai', 400, { message: 'x', code: 'unsupported_country_region_territory' }],
  ['openai', 400, 'Country, region, or territory not supported'],
  ['openai', 400, 'Your account has been deactivated'],
  ['openai', 400, 'Incorrect API key provided'],
  ['gemini', 400, 'User location is not supported for the API use.'],
  ['gemini', 400, 'Gemini API free tier is not available in your country. Please enable billing.'],
  ['gemini', 400, 'API key expired. Please renew the API key.'],
  ['gemini', 403, "Consumer 'api_key:redacted' has been suspended."],
])('%s %i %j is an account that is refused', async (vendor, status, said) => {
  expect(await typeOf(vendor, status, said)).toBe('LlmAuth');
});

const perMinute =
  'You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: ' +
  'generate_content_free_tier_requests, limit: 15. Please retry in 34s.';

test.each<[FakeVendor, number, string | object, string]>([
  ['gemini', 429, perMinute, 'LlmRateLimited'],
  ['gemini', 429, 'Resource has been exhausted (e.g. check quota).', 'LlmRateLimited'],
  [
    'anthropic',
    429,
    "This request would exceed your organization's rate limit of 30,000 tokens per minute",
    'LlmRateLimited',
  ],
  [
    'openai',
    429,
    'Rate limit reached in organization `org-1` on tokens per day: Limit 100000. Try again in 12m',
    'LlmRateLimited',
  ],
  [
    'openai',
    429,
    'Your requests have exceeded token rate limit of your current pricing tier. Retry after 6 seconds',
    'LlmRateLimited',
  ],
  ['openai', 429, 'You are using a Trial key, which is limited to 10 API calls / minute.', 'LlmRateLimited'],
  ['openai', 429, 'Add a payment method to increase your spend limit and your rate limit.', 'LlmRateLimited'],
  ['ollama', 429, "you've reached your hourly usage limit, please upgrade to continue", 'LlmRateLimited'],
  ['openai', 400, 'Your organization must be verified to use this model.', 'LlmBadRequest'],
  ['openai', 400, 'Web search is not enabled for this organization', 'LlmBadRequest'],
  ['anthropic', 400, 'Prompt caching for this organization is disabled', 'LlmBadRequest'],
  ['openai', 400, "Invalid value: 'XX'. The country of user_location is not supported.", 'LlmBadRequest'],
  ['openai', 404, 'This model is not available in your region.', 'LlmModelNotFound'],
  ['openai', 400, 'max_tokens: the limit of 4096 is exceeded', 'LlmBadRequest'],
  ['openai', 400, `The prompt says: ${'x'.repeat(2_000)} your credit balance is too low`, 'LlmBadRequest'],
])('%s %i %j is not', async (vendor, status, said, type) => {
  expect(await typeOf(vendor, status, said)).toBe(type);
});
