import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { DomainErrorCode } from '../errors.ts';

/** What can go wrong before a noun is asked, or behind it. */
export type HttpErrorCode =
  | 'ACCOUNT_SUSPENDED'
  | 'BODY_TOO_LARGE'
  | 'IDEMPOTENCY_KEY_IN_FLIGHT'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'INTERNAL_ERROR'
  | 'LIMIT_REACHED'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_FOR_CLIENTS'
  | 'NOT_FOUND'
  | 'RATE_LIMITED'
  | 'UNAUTHORIZED'
  | 'UNAVAILABLE'
  | 'UNSUPPORTED_MEDIA_TYPE';

export type ProblemCode = DomainErrorCode | HttpErrorCode | 'VALIDATION_FAILED';

/** The status and title of each problem, and what a client does about it: `/problems/{type}` shows the three. */
export const problems: Record<ProblemCode, readonly [status: ContentfulStatusCode, title: string, help: string]> = {
  UNAUTHORIZED: [
    401,
    'Missing or invalid API key',
    'Send the key in `X-API-Key`, or as `Authorization: Bearer`. A key begins with `orch_`, `os_live_`, `os_test_` or `sk_` and is shown once, when it is made. One that was deleted or has expired is not taken any more.',
  ],
  TIER_LIMIT_REACHED: [
    402,
    'The tier of the account has no more of these',
    'Nothing was done. `detail` says how many there may be. Delete one, or ask the operator of this server for a higher tier.',
  ],
  CREDITS_REQUIRED: [
    402,
    'The agent costs credits',
    'Nothing was done. Agents with a price can be called by their authors only, until there are credits here.',
  ],
  PROVIDER_REQUIRED: [
    402,
    'A provider of your own is required',
    'The server has no model for this run, or your managed trial runs are used up. Register a provider, and pass its `provider_id`.',
  ],
  AGENT_NOT_CALLABLE: [
    403,
    'The agent may be seen, and not called',
    'Its author lets nobody call it over this server. Where it may be downloaded, run it yourself.',
  ],
  CALL_CHAIN_REFUSED: [
    403,
    'The agent may not be called from there',
    'Agents that call each other may not do so in a circle, deeper than was allowed, or for more than they may spend; `detail` says which. Send the headers of the chain as your code was given them, or none.',
  ],
  ACCOUNT_SUSPENDED: [
    403,
    'The account is suspended',
    'The operator of this server has suspended it, and can resume it. Its runs wait meanwhile and are not lost, but what is due for people is due all the same.',
  ],
  MISSING_SCOPE: [
    403,
    'The key may not do this',
    '`scope` is what it lacks. Use a key that has it, or make one with `POST /api/v1/keys`. The scopes of a key never change.',
  ],
  TEST_KEY: [
    403,
    'A test key may not do this',
    'What is live costs, and a test key does nothing that costs, and changes nothing that live runs use. Use a live key. What a test key starts, it may change and answer.',
  ],
  NOT_FOR_CLIENTS: [
    403,
    'No OAuth client may do this',
    'Keys and secrets last longer than what an application was allowed, and programs on the server are for nobody else to start. Use an API key of the account itself.',
  ],
  REGISTRATION_CLOSED: [
    403,
    'Registration is not open to all',
    'The operator of this server gives out accounts, or an `invite_code` to register with.',
  ],
  NOT_FOUND: [
    404,
    'Not found',
    'Nothing of this id is yours. What belongs to another account is not found either. `errors` says where the id is, when it is in the body.',
  ],
  METHOD_NOT_ALLOWED: [405, 'Method not allowed', 'The header `Allow` has the methods that this path takes.'],
  CODE_MISSING: [
    409,
    'The agent has no code',
    'Send its bundle, and say by a command or an entrypoint how it is run; then start the run again.',
  ],
  AGENT_EXISTS: [409, 'There is an agent of this name', 'Change that one with PATCH, or take another name.'],
  EMAIL_TAKEN: [
    409,
    'This e-mail has an account',
    'Use the key of that account. A key that is lost cannot be shown again; the operator of the server can make a new one.',
  ],
  LAST_KEY: [
    409,
    'This is the last key that may do everything',
    'Make another one with the scope `*` first, with `POST /api/v1/keys`: without one the account could not be reached any more.',
  ],
  CODE_NOT_TAKEN: [
    409,
    'This version takes no code',
    'A version of the engine `code_runtime` is given its code once. Publish another version for other code.',
  ],
  SLUG_TAKEN: [409, "The slug is another organisation's, or is reserved", 'Nothing was changed. Take another slug.'],
  SLUG_IN_USE: [
    409,
    'Others call agents by this slug',
    'Nothing was changed. It stands in the paths of your public agents: make these private first.',
  ],
  TASK_NOT_WAITING: [
    409,
    'The task is not waiting for a person',
    'It was answered before, is due no more, or has not come so far: `task_status` says which. `answer` is the one that stands.',
  ],
  PERSON_NOT_FREE: [
    409,
    'The person can be given no more',
    'They are inactive, or have as many open gates as their `max_open` allows. Choose another, or change them with `PATCH /api/v1/people/{person_id}`.',
  ],
  STEERED_TOO_OFTEN: [
    409,
    'The run was changed too often',
    'What people do to the tasks of a run, and holding it, has a bound. A rerun begins anew, at any of its tasks.',
  ],
  TASK_NOT_READY: [
    409,
    'The task is not so that this could be done to it',
    '`task_status` says how it is: only what has begun is done again, only what is completed is corrected, and only what is not is skipped or cancelled.',
  ],
  RUN_FINISHED: [
    409,
    'The run has ended',
    '`run_status` says how. A run that has ended cannot be cancelled, held or changed; a rerun begins at any of its tasks.',
  ],
  RUN_NOT_FINISHED: [
    409,
    'The run has not ended',
    'Only a run that has ended is purged. Cancel it first, with `DELETE /api/v1/runs/{run_id}`. `run_status` says how it is.',
  ],
  RUN_NOT_READY: [
    409,
    'The run has not come so far',
    'Wait until the tasks before the one that you name are completed, or give their outputs in `edits`.',
  ],
  RUN_NOT_OF_GOAL: [
    409,
    'This is not the run of a goal',
    'The steps of an orchestration, and the task of an agent, are not changed while it is under way. A rerun does one of them again, with all after it; a run that has failed is tried again with `POST /api/v1/runs/{run_id}/retry`.',
  ],
  DOCUMENT_NOT_FAILED: [
    409,
    'The document has not failed',
    'Only a document that has failed is indexed once more. Its `status` says how it is.',
  ],
  KNOWLEDGE_INDEXING: [
    409,
    'Documents of the knowledge base are being indexed',
    'Nothing was changed. Wait until each document is `indexed` or `failed`, or delete those that are not, and ask again.',
  ],
  RUN_NOT_FAILED: [
    409,
    'The run has not failed',
    'Only a run that has failed is tried again. `run_status` says how it is.',
  ],
  RUN_NOT_PAUSED: [
    409,
    'The run does not wait for a person',
    'Read the run: `waiting` has what it waits for now, with the `gate_id` of each question.',
  ],
  ORCHESTRATION_EXISTS: [409, 'There is an orchestration of this id', 'Replace it with PUT, or take another id.'],
  ORCHESTRATION_SHIPPED: [
    409,
    'This orchestration cannot be changed',
    'It comes with Orchflow. Create one of your own from what it answers to GET.',
  ],
  IDEMPOTENCY_KEY_IN_FLIGHT: [
    409,
    'The first request is still at work',
    'Send the same request again after `Retry-After`; its answer is that of the first.',
  ],
  PRECONDITION_FAILED: [
    412,
    'It was changed meanwhile',
    'Nothing was done. Read it again: its `ETag` is what `If-Match` takes. Without `If-Match` the change is made to what is there by then.',
  ],
  BODY_TOO_LARGE: [
    413,
    'The body is too large',
    'Send less at once. Texts over the limit belong into several requests.',
  ],
  BUNDLE_TOO_LARGE: [413, 'The archive is too large', 'An archive of code may have 50 MiB. Nothing of it was kept.'],
  FILE_TOO_LARGE: [413, 'The file is too large', 'A file may have 25 MiB. Nothing of it was kept.'],
  UNSUPPORTED_MEDIA_TYPE: [
    415,
    'Not a body that is taken here',
    'Send the body as JSON, in UTF-8 and not compressed, with `Content-Type: application/json`; a file as `multipart/form-data`.',
  ],
  BUNDLE_INVALID: [
    422,
    'The archive cannot be used',
    '`detail` says why. Send a ZIP archive of files: at most 1,000, and 200 MiB unpacked; no links, no devices, no names that lead out of it. Nothing of it was kept.',
  ],
  VALIDATION_FAILED: [
    422,
    'Validation error',
    '`errors` names each field by a JSON Pointer (RFC 6901) and says what is wrong with it. Nothing was done.',
  ],
  IDEMPOTENCY_KEY_REUSED: [
    422,
    'The Idempotency-Key was used for another request',
    'A key belongs to one method, path and body for 24 hours. Make a new one for a new request.',
  ],
  SKILLS_LOCKED: [
    422,
    'The skills of the agent are locked',
    'Its author has locked what it knows. Call it without the headers of skills.',
  ],
  NOT_AN_AGENT: [
    422,
    'This is no agent',
    'A skill is added to agents, and cannot be called: name it in `X-Orchagent-Skills`.',
  ],
  FILE_REQUEST_REUSED: [
    422,
    'The Idempotency-Key was used for another file',
    'A key belongs to one file for as long as the file is there. Make a new one for a new file.',
  ],
  MONTHLY_LIMIT_REACHED: [
    429,
    'Monthly limit reached',
    'The runs of this calendar month (UTC) are used. `Retry-After` leads to the next.',
  ],
  LIMIT_REACHED: [
    429,
    'A limit of the account is reached',
    'Nothing was done. `detail` says how many there may be, and what makes room for another.',
  ],
  RATE_LIMITED: [429, 'Too many requests', 'Wait for `Retry-After`. The headers `RateLimit-*` say what is left.'],
  INTERNAL_ERROR: [500, 'Internal error', 'The fault is on our side. Quote the `request_id` when you report it.'],
  DEADLINE_PASSED: [504, 'The deadline has passed', 'Nothing was done. Ask again, with a later deadline.'],
  FILES_UNAVAILABLE: [
    503,
    'Files are temporarily unavailable',
    'The store of files cannot be reached, or has no room. Try again after `Retry-After`; nothing else is affected.',
  ],
  NO_SANDBOX: [
    503,
    'No code is run here',
    'The workers of this server have no sandbox that holds, so that no code is run. `GET /health` says why; the operator of the server can mend it.',
  ],
  UNAVAILABLE: [
    503,
    'Temporarily unavailable',
    'The database cannot be reached, or is busy. Try again after `Retry-After`; with an `Idempotency-Key`, nothing is done twice.',
  ],
};
