/**
 * What the house refuses, and why. Nothing here knows of HTTP: each surface puts these errors into a status, words and
 * pointers of its own (`envelope.ts` in its folder).
 */

export type DomainErrorCode =
  | 'AGENT_EXISTS'
  | 'BUNDLE_INVALID'
  | 'BUNDLE_TOO_LARGE'
  | 'CODE_MISSING'
  | 'CODE_NOT_TAKEN'
  | 'AGENT_NOT_CALLABLE'
  | 'CALL_CHAIN_REFUSED'
  | 'CREDITS_REQUIRED'
  | 'DEADLINE_PASSED'
  | 'DOCUMENT_NOT_FAILED'
  | 'EMAIL_TAKEN'
  | 'FILE_REQUEST_REUSED'
  | 'FILE_TOO_LARGE'
  | 'FILES_UNAVAILABLE'
  | 'KNOWLEDGE_INDEXING'
  | 'LAST_KEY'
  | 'MISSING_SCOPE'
  | 'MONTHLY_LIMIT_REACHED'
  | 'NOT_AN_AGENT'
  | 'NOT_FOUND'
  | 'ORCHESTRATION_EXISTS'
  | 'ORCHESTRATION_SHIPPED'
  | 'PERSON_NOT_FREE'
  | 'PRECONDITION_FAILED'
  | 'NO_SANDBOX'
  | 'PROVIDER_REQUIRED'
  | 'REGISTRATION_CLOSED'
  | 'RUN_FINISHED'
  | 'RUN_NOT_FAILED'
  | 'RUN_NOT_FINISHED'
  | 'RUN_NOT_OF_GOAL'
  | 'RUN_NOT_PAUSED'
  | 'RUN_NOT_READY'
  | 'SKILLS_LOCKED'
  | 'SLUG_IN_USE'
  | 'SLUG_TAKEN'
  | 'STEERED_TOO_OFTEN'
  | 'TASK_NOT_READY'
  | 'TASK_NOT_WAITING'
  | 'TEST_KEY'
  | 'TIER_LIMIT_REACHED';

/** What the client can do about it; each surface names the request that does it. */
export type WayOut =
  | 'create_orchestration'
  | 'list_tools'
  | 'make_room_for_agent'
  | 'name_provider'
  | 'register_provider'
  | 'register_vendor'
  | 'replace_orchestration';

/** What a client may read besides the message. `/openapi.json` declares each. */
export type ProblemMembers = {
  /** What the key would need. */
  scope?: string;
  run_status?: string;
  task_status?: string;
  gate_id?: string;
  answer?: { gate_id: string; decision: string | null; output: string | null; answered_at: string | null };
};

type Details = {
  way_out?: WayOut;
  retry_after_seconds?: number;
  members?: ProblemMembers;
  /** Where in what was given. */
  faults?: FieldFault[];
};

/** A request that is well-formed, and cannot be done as things are. */
export class DomainError extends Error {
  readonly code: DomainErrorCode;
  readonly way_out: WayOut | undefined;
  readonly retry_after_seconds: number | undefined;
  readonly members: ProblemMembers;
  readonly faults: FieldFault[];

  constructor(code: DomainErrorCode, message: string, details: Details = {}) {
    const { way_out, retry_after_seconds, members = {}, faults = [] } = details;
    super(message);
    this.code = code;
    this.way_out = way_out;
    this.retry_after_seconds = retry_after_seconds;
    this.members = members;
    this.faults = faults;
  }
}

/** The way to a member of what was given: `['agents', 0, 'model']`. The empty one is the whole. */
export type Path = PropertyKey[];

/** A fault at one place of what was given. */
export type FieldFault = { path: Path; detail: string; way_out?: WayOut };

/** What was given is wrong, at these places. */
export class InvalidInputError extends Error {
  readonly faults: FieldFault[];

  constructor(faults: FieldFault[]) {
    super(faults.map(({ path, detail }) => `${path.map(String).join('.') || 'body'}: ${detail}`).join('; '));
    this.faults = faults;
  }
}

/** Throws when there are any. */
export function requireNone(faults: FieldFault[]): void {
  if (faults.length > 0) throw new InvalidInputError(faults);
}

/** Unknown things and those of other accounts are the same. */
export function notFound(
  what:
    | 'Run'
    | 'Task'
    | 'Agent'
    | 'Agent version'
    | 'Provider'
    | 'Orchestration'
    | 'Delivery'
    | 'Subscription'
    | 'MCP server'
    | 'Key'
    | 'OAuth client'
    | 'OAuth grant'
    | 'File'
    | 'Person'
    | 'Gate'
    | 'Knowledge base'
    | 'Document'
    | 'Workspace'
    | 'Trace',
): DomainError {
  return new DomainError('NOT_FOUND', `${what} not found.`);
}

/** What is asked for can be done only to a run that has not ended. */
export function runFinished(run_status: string): DomainError {
  return new DomainError('RUN_FINISHED', `The run is ${run_status}.`, { members: { run_status } });
}

/** For the ids of providers at these places of what was given: unknown, or of another account, or not `what`. */
export function providerNotFound(paths: Path[], what = 'an active provider'): DomainError {
  const faults = paths.map((path) => ({ path, detail: `is not ${what} of this account` }));
  return new DomainError('NOT_FOUND', 'Provider not found.', { faults });
}
