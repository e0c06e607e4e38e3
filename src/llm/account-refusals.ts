import type { LlmErrorType } from './model.ts';

/**
 * Vendors that will take no more calls of this account say so under many statuses, often as a plain bad request, and mean
 * it whatever is asked. These are their words; each has a test, and so have those that only look like them.
 */

type AccountRefusal = Extract<LlmErrorType, 'LlmQuotaExhausted' | 'LlmAuth'>;

/** What a vendor says in `code`, `type` or `status`. */
const CODES: Record<string, AccountRefusal> = {
  insufficient_quota: 'LlmQuotaExhausted',
  insufficient_user_quota: 'LlmQuotaExhausted',
  insufficient_balance: 'LlmQuotaExhausted',
  exceeded_current_quota_error: 'LlmQuotaExhausted',
  billing_error: 'LlmQuotaExhausted',
  billing_hard_limit_reached: 'LlmQuotaExhausted',
  billing_not_active: 'LlmQuotaExhausted',
  budget_exceeded: 'LlmQuotaExhausted',
  Arrearage: 'LlmQuotaExhausted',
  AccountOverdueError: 'LlmQuotaExhausted',
  API_KEY_INVALID: 'LlmAuth',
  account_deactivated: 'LlmAuth',
  organization_restricted: 'LlmAuth',
  unsupported_country_region_territory: 'LlmAuth',
};

/**
 * In lower case. Not "billing details", which Gemini's limit of a minute names too; not "usage limit" alone, which may be
 * over in an hour; and nothing of an organization where only something *for* it is switched off.
 */
const WORDS: [AccountRefusal, RegExp][] = [
  [
    'LlmQuotaExhausted',
    /credit balance is too low|balance is insufficient|insufficient (account )?(balance|credits?|funds)/,
  ],
  ['LlmQuotaExhausted', /(credits|balance) (are|is|has been|have been) (depleted|exhausted|used up)|out of credits/],
  ['LlmQuotaExhausted', /used all (of your )?(the )?available credits|(does not|doesn't|don't) have any credits/],
  ['LlmQuotaExhausted', /reach(ed|ing)[^.]{0,60} (spend(ing)?|billing|budget) (limit|cap)/],
  ['LlmQuotaExhausted', /exceeded[^.]{0,60} (spend(ing)?|billing|budget) (limit|cap)/],
  ['LlmQuotaExhausted', /(billing hard limit|budget|spend(ing)? (limit|cap)) has been (reached|exceeded)/],
  ['LlmQuotaExhausted', /(specified|monthly|weekly) (api )?usage limit|user quota is not enough/],
  [
    'LlmQuotaExhausted',
    /account (is not active|has an overdue|is overdue|is in arrears)|make sure your account is in good standing/,
  ],
  ['LlmQuotaExhausted', /free tier of the model has been exhausted|limited to \d+ api calls \/ month/],
  ['LlmQuotaExhausted', /余额不足|额度不足|额度已用尽|额度失败|已欠费/],
  [
    'LlmAuth',
    /(?<!(?:for|in|by|of) (?:this|the|your) )(account|organi[sz]ation|workspace|consumer)( [\w'":/-]+)? (has been|is) (disabled|suspended|deactivated|restricted|banned|terminated)/,
  ],
  ['LlmAuth', /user location is not supported|unsupported (countr(y|ies)|regions?|territor(y|ies))/],
  [
    'LlmAuth',
    /country, region,? or territory (is )?not supported|(api|service|tier) is not available in your (country|region)/,
  ],
  ['LlmAuth', /api key (is )?(not valid|invalid|expired|has expired)|(invalid|incorrect) api key/],
];

/** Longer ones are pages, or what was sent given back. */
const mostWords = 2_000;

/** The failure that a refusal of the whole account is, or undefined for every other one. */
export function accountRefusal(codes: string[], message: string): AccountRefusal | undefined {
  const code = codes.find((given) => Object.hasOwn(CODES, given));
  if (code !== undefined) return CODES[code];
  const said = message.slice(0, mostWords).toLowerCase();
  return WORDS.find(([, words]) => words.test(said))?.[0];
}
