import type { ColumnType, Generated, GeneratedAlways, Insertable, Selectable } from 'kysely';
import type { AgentTool, Definition } from '../workflows/contract/definition.ts';
import type { GateTerms, OnTimeout } from '../workflows/contract/gate-terms.ts';
import type { RerunFrom, TakenTask } from '../workflows/contract/inputs.ts';
import type {
  Decision,
  GateKind,
  GateStatus,
  Phase,
  RunStatus,
  Spending,
  StepMark,
  TaskKind,
  TaskStatus,
} from '../workflows/contract/states.ts';
import type { IndexingRef } from '../workflows/contract/knowledge.ts';
import type { Steering } from '../workflows/contract/steering.ts';
import type { ValueRef } from '../workflows/contract/shared-state.ts';

/** All data on one page. Timestamps are ISO 8601 texts in UTC with milliseconds; `db/index.ts` parses them so. */
export interface Database {
  accounts: AccountTable;
  api_keys: ApiKeyTable;
  oauth_clients: OAuthClientTable;
  oauth_grants: OAuthGrantTable;
  oauth_artifacts: OAuthArtifactTable;
  people: PersonTable;
  assignment_looks: AssignmentLookTable;
  providers: ProviderTable;
  runs: RunTable;
  purged_runs: PurgedRunTable;
  purged_run_counts: PurgedRunCountTable;
  tasks: TaskTable;
  gates: GateTable;
  texts: TextTable;
  llm_calls: LlmCallTable;
  tool_calls: ToolCallTable;
  failed_tries: FailedTryTable;
  mcp_servers: McpServerTable;
  run_events: RunEventTable;
  run_search: RunSearchTable;
  run_costs: RunCostTable;
  outbox: OutboxTable;
  webhook_deliveries: WebhookDeliveryTable;
  webhook_subscriptions: WebhookSubscriptionTable;
  retired_subscription_secrets: RetiredSubscriptionSecretTable;
  retired_webhook_secrets: RetiredWebhookSecretTable;
  idempotency_keys: IdempotencyKeyTable;
  kept_slugs: KeptSlugTable;
  rate_limits: RateLimitTable;
  definitions: DefinitionTable;
  orchestrations: OrchestrationTable;
  budget_reservations: BudgetReservationTable;
  managed_reservations: ManagedReservationTable;
  managed_spending: ManagedSpendingTable;
  broken_calls: BrokenCallTable;
  model_cooldowns: ModelCooldownTable;
  files: FileTable;
  run_files: RunFileTable;
  agents: AgentTable;
  agent_versions: AgentVersionTable;
  agent_calls: AgentCallTable;
  purged_calls: PurgedCallTable;
  usage_counts: UsageCountTable;
  usage_deltas: UsageCountTable;
  knowledge_bases: KnowledgeBaseTable;
  documents: DocumentTable;
  chunks: ChunkTable;
  gone_documents: GoneDocumentTable;
  knowledge_usage: KnowledgeUsageTable;
  bundles: BundleTable;
  code_runs: CodeRunTable;
  code_files: CodeFileTable;
  code_workers: CodeWorkerTable;
}

/** Read as `T`, written as JSON text. */
type Json<T> = ColumnType<T, string, string>;
type OptionalJson<T> = ColumnType<T, string | undefined, string>;
type NullableJson<T> = ColumnType<T | null, string | null | undefined, string | null>;

/** A slug under which agents of an account were public, whatever has become of them. Null: the account is deleted. */
interface KeptSlugTable {
  slug: string;
  account_id: string | null;
}

interface AccountTable {
  account_id: string;
  name: string;
  email: string;
  managed_runs_used: Generated<number>;
  webhook_secret_encrypted: string;
  /** Names it as an organisation, in the paths of its agents. */
  slug: Generated<string>;
  /** Since then nothing is answered to it, and its runs wait. */
  suspended_at: string | null;
  /** How much it may ask for and have; null is what the server gives to all. */
  tier: Tier | null;
  created_at: Generated<string>;
}

export type Tier = 'free' | 'pro' | 'enterprise';

/** What a test run needs of models, the demo model answers, whatever providers its account has. */
export type Mode = 'live' | 'test';

interface ApiKeyTable {
  key_sha256: string;
  key_prefix: string;
  /** Names the key where the key itself must not stand. */
  key_id: Generated<string>;
  name: Generated<string>;
  account_id: string;
  /** What it may do; `*` is everything. */
  scopes: Generated<string[]>;
  /** Whose it is; null is the account's own. */
  person_id: string | null;
  /** What it starts are tests. */
  mode: Generated<Mode>;
  /** Of an access token: what it was given by. */
  grant_id: string | null;
  /** Of the key that code was given which is run: the run. */
  run_id: string | null;
  /** The agent whose code has it; null of all others. It goes with the agent. */
  agent_id: string | null;
  created_at: Generated<string>;
  /** Null: never. */
  expires_at: string | null;
  /** To the minute. */
  last_used_at: string | null;
}

/** An application that acts for accounts. A public one, as an app is on a phone, can keep no secret. */
interface OAuthClientTable {
  client_id: string;
  account_id: string;
  name: string;
  type: 'confidential' | 'public';
  redirect_uris: string[];
  /** What it may ask for. */
  scopes: string[];
  secret_sha256: string | null;
  created_at: Generated<string>;
}

/** That somebody has consented, with a key, to what a client asked for. The payload is of oidc-provider. */
interface OAuthGrantTable {
  grant_id: string;
  client_id: string;
  key_id: string;
  payload: Json<Record<string, unknown>>;
  created_at: Generated<string>;
  expires_at: string;
}

/** What is under way, or was given: an interaction, a code, a refresh token. What it is called stands nowhere in clear. */
interface OAuthArtifactTable {
  id_sha256: string;
  kind: 'Interaction' | 'AuthorizationCode' | 'RefreshToken';
  client_id: string;
  grant_id: string | null;
  payload: Json<Record<string, unknown>>;
  /** How often it was exchanged, and when first. */
  uses: Generated<number>;
  used_at: string | null;
  expires_at: string;
}

/** That it is to be looked at whose the gates of an account are. */
interface AssignmentLookTable {
  look_id: Generated<string>;
  account_id: string;
}

export type PersonStatus = 'active' | 'inactive';

/** Who answers gates for an account. Skills are folded to lower case, each once. */
interface PersonTable {
  person_id: string;
  account_id: string;
  name: string;
  email: string | null;
  skills: string[];
  /** Told of each gate that is assigned to them. */
  notify_url: string | null;
  /** How many open gates they are given at most; null is any number. */
  max_open: number | null;
  /** Who is inactive is given nothing, and their key is not taken. */
  status: Generated<PersonStatus>;
  /** When they were last given a gate. */
  given_at: string | null;
  created_at: Generated<string>;
}

export type Vendor = 'gemini' | 'openai' | 'anthropic' | 'ollama';

interface ProviderTable {
  provider_id: string;
  account_id: string;
  provider: Vendor;
  label: string | null;
  model: string;
  base_url: string | null;
  api_key_encrypted: string | null;
  status: Generated<'active' | 'inactive'>;
  /** Serves models of all makers. */
  gateway: Generated<boolean>;
  /** The one whose calls it takes over. */
  replaces: string | null;
  /** Came with the call that began this run, and is of no other: nobody else finds it, and its key goes when the run ends. */
  run_id: string | null;
  created_at: Generated<string>;
}

/** An agent as the run froze it: templates filled in, its model resolved to a provider when the run's own does not serve it. */
export type RunAgent = {
  name: string;
  system_prompt: string;
  model: string | null;
  provider_id: string | null;
  /** Missing when it has none. */
  tools?: AgentTool[];
  /** How often it may be asked for one output; the last time it must answer. */
  max_turns?: number;
  /** Its outputs wait for a person. */
  require_approval?: boolean;
  /** The registered agent that it is, and at which version (`v2`). Both may be gone. */
  agent_id?: string;
  version?: string;
  /** The account whose agent it is, when it is another's: what it says and may do is not for who runs it. */
  owner_id?: string;
  /** Its prompt has what who runs it may use, and not read. */
  is_closed?: boolean;
};

/** A step for a person: its name, or its name, what it changes of the run's terms, and the skills that it asks for. */
export type HumanGate = string | ({ name: string; skills?: string[] } & Partial<GateTerms>);

/** What a person is asked about at the start, and the skills that it takes. */
export type AskedAbout = string | { about: string; skills?: string[] };

/** What a run is of; each kind has its own workflow and input. */
export type RunKind = 'goal' | 'orchestration' | 'agent';

/** The API that it was started over. */
export type RunOrigin = 'orchflow' | 'orchestrations' | 'orchstack' | 'orchagent';

interface RunTable {
  run_id: string;
  /** Null of one that is purged: nobody finds it any more. `purged_runs` says whose it was. */
  account_id: string | null;
  /** Postgres reads it from what the row refers to (`say_kind`). */
  kind: GeneratedAlways<RunKind>;
  /** Null of a run that 0.1.0 started. */
  origin: RunOrigin | null;
  /** Over which channel of its client it came, and which user of that client it is for; null where nothing was said of it. */
  channel: string | null;
  user_id: string | null;
  /** The key that it was started with; null of a run that 0.1.0 started. */
  started_by: string | null;
  /** That of the key; what does a test again is one too. */
  mode: Generated<Mode>;
  /** The newest workflow state written here; older ones are refused. */
  version: Generated<number>;
  /** The last twenty executions of its workflow (Temporal's run ids) that wrote here, the newest last. */
  writers: Generated<string[]>;
  /** Where the newest of them began: its own versions count from here. */
  version_base: Generated<number>;
  event_seq: Generated<number>;
  status: Generated<RunStatus>;
  phase: Generated<Phase>;
  task: string;
  agents: Json<RunAgent[]>;
  human_gates: Json<HumanGate[]>;
  ask_me_about: Json<AskedAbout[]>;
  require_approval: boolean;
  webhook_url: string | null;
  gate_due_in: string | null;
  remind_every: string | null;
  on_timeout: Generated<OnTimeout>;
  escalation_webhook_url: string | null;
  provider_id: string | null;
  /** The run of which this one takes over what was done before a task, or beside it. */
  forked_from: string | null;
  plan: OptionalJson<TakenTask[] | null>;
  /** Asked in this order when the one before refuses for good. */
  fallback_provider_ids: OptionalJson<string[]>;
  /** Of an orchestration. */
  orchestration_id: string | null;
  definition_hash: string | null;
  shared_state: NullableJson<Record<string, ValueRef>>;
  /** What its state began with; null of one that 0.1.0 started. */
  first_state: NullableJson<Record<string, ValueRef>>;
  /** Of one that does another one again. */
  rerun_from: NullableJson<RerunFrom>;
  /** Of a run of one agent, which may be deleted since; and what of it, beside `agents`, the run froze. */
  agent_id: string | null;
  agent_run: NullableJson<AgentTerms>;
  /** How often it was begun: once, and again each time that it had failed and was tried again. */
  attempt: Generated<number>;
  /** What its model calls may cost, and use, before a person is asked (`gate`) or the run fails. */
  max_cost_usd: number | null;
  max_tokens: number | null;
  on_budget: Generated<'gate' | 'fail'>;
  final_output_id: string | null;
  error: string | null;
  /** Why it failed, as a word that programs read; null where there is none. */
  error_code: string | null;
  warnings: OptionalJson<string[]>;
  /** Of the request that started it. */
  start_warnings: OptionalJson<string[]>;
  /** What is told of calls that are tried again now, by call. */
  retrying: OptionalJson<Record<string, { warning: string; next_try_at: string }>>;
  /** What clients label it with, to find it again: their own pairs, and words. */
  metadata: OptionalJson<Record<string, string>>;
  tags: Generated<string[]>;
  created_at: Generated<string>;
  /** When it was asked to begin; null: at once. */
  start_at: string | null;
  /** When it joined the queue of its account, or will; null: it has begun. */
  queued_at: string | null;
  started_at: string | null;
  completed_at: string | null;
  /** Since then nothing new is begun in it. */
  held_at: string | null;
  /** How much people have done to its tasks: it does not complete before its workflow has heard of all of it. */
  steered: Generated<number>;
  /** How much of that its workflow has heard of; null as long as it has not said so. */
  heard: number | null;
}

/**
 * Runs of which nothing is left but an empty row of `runs`, for what their workflows may still write. It goes when they are
 * over, and with it this.
 */
interface PurgedRunTable {
  run_id: string;
  /** Whose it was. Null: that account is deleted. */
  account_id: string | null;
  purged_at: Generated<string>;
  /** When to look next whether it is over. */
  due_at: Generated<string>;
  /** Since then it was found to be over, each time that somebody looked. */
  over_at: string | null;
}

/** How many of the runs that were accepted in a month (UTC) were purged in it: they count against its quota. */
interface PurgedRunCountTable {
  account_id: string;
  month: string;
  runs: number;
}

/** What runs are found by (`run_document`). */
interface RunSearchTable {
  run_id: string;
  document: string;
}

/** What the calls of a run have cost whose price is known; 0 of one that has none. A run that is purged has no row. */
interface RunCostTable {
  run_id: string;
  account_id: string;
  cost_usd: Generated<string>;
}

/** `score`: null where the model gave none that can be read. */
export type Evaluation = { passed: boolean; score: number | null; feedback: string };

interface TaskTable {
  run_id: string;
  id: string;
  position: number;
  version: Generated<number>;
  title: string;
  description: string;
  kind: TaskKind;
  agent: string | null;
  model: string | null;
  depends_on: OptionalJson<string[]>;
  status: Generated<TaskStatus>;
  attempts: Generated<number>;
  output_id: string | null;
  evaluation: OptionalJson<Evaluation | null>;
  /** Of one execution of a step. */
  step: NullableJson<StepMark>;
  error: string | null;
  started_at: string | null;
  completed_at: string | null;
  /** How often it was begun anew because a person wanted it. */
  round: Generated<number>;
  /** What its gates ask for; null is nothing. */
  skills: string[] | null;
}

/**
 * Who has done something to a run. Of a key: its id, its name then, and which of its own users an application has named; of a
 * person's own key, the person; of an access token, the client. An operator has signalled or cancelled in Temporal: `id` is the identity there, null where it
 * could not be found out.
 */
export type Actor = {
  kind: 'key' | 'person' | 'client' | 'operator';
  id: string | null;
  name: string | null;
  on_behalf_of: string | null;
};

/**
 * How it came about that a gate is a person's, or nobody's. `wanted`: nobody fits, and who fits later gets it. `automatic`: by
 * skills. `given`: by hand, which no skills are looked at for. `released`: by hand to nobody, so that it stays with all who
 * have the skills.
 */
export type Assignment = 'wanted' | 'automatic' | 'given' | 'released';

interface GateTable {
  gate_id: string;
  run_id: string;
  /** Null of one that 0.1.0 has closed. */
  account_id: string | null;
  task_id: string;
  kind: GateKind;
  status: GateStatus;
  reason: string | null;
  decisions: Json<Decision[]>;
  decision: Decision | null;
  answer_id: string | null;
  opened_at: Generated<string>;
  due_at: string | null;
  /** The request that answered it; null when a signal did. */
  answered_by: string | null;
  answered_at: string | null;
  /** Who has answered it, and why; null of one that 0.1.0 answered. */
  by: NullableJson<Actor>;
  note: string | null;
  /** Of a question about the budget: what the run would have used; of one that is approved, only what the limits do not cover. */
  asked: NullableJson<Partial<Spending>>;
  /** All of them are needed; with none it is nobody's but its account's. */
  skills: Generated<string[]>;
  /** Whose it is; null is nobody's in particular. */
  person_id: string | null;
  /** Null: it asks for no skills, and was never assigned. */
  assignment: Assignment | null;
  assigned_at: string | null;
  /** Null: by skills. */
  assigned_by: NullableJson<Actor>;
  /** Why it was given to them by hand, or given back. */
  assignment_note: string | null;
  /** How often that has changed, by itself and by people's own keys. */
  assigned_times: Generated<number>;
  /** The due date at which it was last handed on. */
  escalated_due_at: string | null;
}

/** Of a run, or of an account alone: one of the two is given. */
interface Owned {
  run_id: string | null;
  account_id: string | null;
}

/** Every long text: model answers (id = the call's journal key), people's answers (id = the gate's id). Written once. */
interface TextTable extends Owned {
  text_id: string;
  text: string;
}

/** The journal that makes a model call paid once, and the source of usage and cost. Its answer is the text of the same id. */
interface LlmCallTable extends Owned {
  call_id: string;
  task_id: string | null;
  purpose: string;
  vendor: string;
  model: string;
  provider_id: string | null;
  finish: 'stop' | 'length';
  input_tokens: number;
  output_tokens: number;
  cost_usd: number | null;
  /** What the model called instead of answering; null when it had no tools. */
  tool_calls: OptionalJson<RequestedCall[] | null>;
  /** How long it took, in milliseconds; null of one that a process of the release before has made. */
  duration_ms: number | null;
  /** For which base it embeds. */
  knowledge_id: ColumnType<string | null, string | null | undefined, never>;
  created_at: Generated<string>;
}

type ModelCall = {
  id: string;
  name: string;
  arguments: string;
  signature?: string;
  vendor_metadata?: { [vendor: string]: unknown };
};
/**
 * A tool call as a model wrote it. `tool` is our name of what it means, or null when it was offered nothing of that name;
 * `source` tells servers of one name apart. One that is withdrawn was offered in an earlier turn only.
 */
export type RequestedCall = ModelCall & {
  tool: string | null;
  source?: string;
  require_approval: boolean;
  is_withdrawn?: boolean;
};

/** The journal that keeps a tool from being called again once its result is here. The result is the text of the same id. */
interface ToolCallTable extends Owned {
  call_id: string;
  /** The model's answer that asked for it, and which of its calls it is, from 1. */
  answer_id: string;
  position: number;
  tool: string;
  is_error: boolean;
  /** Where it was approved, if it had to be: a gate is of one call. */
  gate_id: string | null;
  /** As of `llm_calls`; null too where nothing was called, because a person refused it. */
  duration_ms: number | null;
  created_at: Generated<string>;
}

/** Calls that failed, and were tried again: the first ones of a run. */
interface FailedTryTable {
  run_id: string;
  /** Of one try one row, also when it is written twice. */
  try_key: string;
  task_id: string | null;
  /** Which try of the call it was, from 1. */
  tries: number;
  reason: string;
  created_at: Generated<string>;
}

/** A server of tools: it speaks HTTP at its URL, or is a program that is started for each use. */
interface McpServerTable {
  account_id: string;
  name: string;
  url: string | null;
  command: string | null;
  args: OptionalJson<string[]>;
  /** JSON: the headers that go to the URL, or the environment of the program. */
  secrets_encrypted: string | null;
  /** As the server listed them when it was registered. */
  tools: Json<McpTool[]>;
  created_at: Generated<string>;
}

export type McpTool = { name: string; description: string; json_schema: Record<string, unknown> };

/** Models whose provider said when they may be called again. Of the operator's the id is `managed/` and the vendor. */
interface ModelCooldownTable {
  provider_id: string;
  model: string;
  blocked_until: string;
}

/** What was spent of the operator's models, by month (UTC). Each call adds a row; those of a month and an account become one from time to time. */
interface ManagedSpendingTable {
  spending_id: Generated<string>;
  month: string;
  /** Empty: of accounts that are deleted. */
  account_id: string;
  cost_usd: number;
}

/** What a call in flight of the operator's models may cost at most. */
interface ManagedReservationTable {
  call_id: string;
  run_id: string;
  account_id: string;
  cost_usd: number;
  expires_at: string;
}

/** What a request to one of the operator's models may have cost that gave no answer. */
interface BrokenCallTable {
  broken_id: string;
  run_id: string;
  cost_usd: number;
  created_at: Generated<string>;
}

/** What a call in flight may cost at most; settled by its row in `llm_calls`. */
interface BudgetReservationTable {
  call_id: string;
  run_id: string;
  tokens: number;
  cost_usd: number;
  expires_at: string;
}

interface RunEventTable {
  run_id: string;
  seq: number;
  /** Dedupes: an event that the workflow writes twice (a retried write) has the same key. */
  event_key: string;
  type: string;
  data: Json<Record<string, unknown>>;
  created_at: Generated<string>;
}

/** What Temporal must still be told, committed with the change itself. Rows are deleted once Temporal has taken them. */
interface OutboxTable extends Owned {
  outbox_id: Generated<string>;
  message: Json<OutboxMessage>;
  attempts: Generated<number>;
  next_attempt_at: Generated<string>;
  created_at: Generated<string>;
}

export type OutboxMessage =
  /** `isAgain`: anew, from what stands here, whatever Temporal has of it. */
  | { kind: 'start'; isAgain?: true }
  | { kind: 'complete_task'; task_id: string; gate_id: string; decision: Decision; output_id: string | null }
  | { kind: 'cancel' }
  | { kind: 'hold' }
  | { kind: 'release' }
  | { kind: 'terms'; n: number }
  | { kind: 'steer'; steering: Steering }
  /** Of a document, whose workflow begins, or ends before its time. */
  | ({ kind: 'index_document' | 'end_indexing'; account_id: string } & IndexingRef)
  /** These two come from processes of 0.1.0 only: deliveries wait in their own table now. */
  | { kind: 'webhook'; event: 'failed' }
  | { kind: 'redeliver'; delivery_id: string; event: string; redelivery: number };

interface WebhookDeliveryTable {
  delivery_id: string;
  /** Null: of no run; then it has a URL. */
  run_id: string | null;
  event: string;
  /** Null: the run's own webhook. Of a subscription, its URL at that time; it is called at the one that it has. */
  url: string | null;
  body: string;
  /** Null: of the run's webhooks, or of the account alone. The subscription may be gone. */
  subscription_id: string | null;
  /** Of the event of the run, for its subscribers. */
  seq: number | null;
  account_id: string;
  /** `disabled`: not sent, because the endpoint is gone, or the subscription is not active. */
  status: Generated<'pending' | 'delivered' | 'failed' | 'disabled'>;
  attempts: Generated<number>;
  /** How many of them have failed, since it was last sent by hand. */
  failures: Generated<number>;
  /** Null: nothing more is attempted; or Temporal waits for it, which processes of 0.1.0 ask. */
  next_attempt_at: string | null;
  /** Later events of the run wait for this one on their way to the subscription. */
  holds_up: Generated<boolean>;
  /** How often a person had it sent. */
  redeliveries: Generated<number>;
  last_response: string | null;
  /** The endpoint answered 410 Gone: the run's other events are not sent. */
  is_gone: Generated<boolean>;
  created_at: Generated<string>;
  last_attempt_at: string | null;
  delivered_at: string | null;
}

/** Those that were replaced, and sign beside the account's own until they expire. */
interface RetiredWebhookSecretTable {
  account_id: string;
  secret_encrypted: string;
  expires_at: string;
}

/** Who hears of events of all runs of an account. */
interface WebhookSubscriptionTable {
  subscription_id: string;
  account_id: string;
  url: string;
  /** Types of events; `*` is all. */
  events: string[];
  description: string | null;
  status: Generated<'active' | 'disabled'>;
  /** Null: its account wanted it so. */
  disabled_reason: string | null;
  /** Since then no attempt has arrived; null when the last one has. */
  failing_since: string | null;
  secret_encrypted: string;
  created_at: Generated<string>;
}

interface RetiredSubscriptionSecretTable extends RetiredWebhookSecretTable {
  subscription_id: string;
}

interface IdempotencyKeyTable {
  account_id: string;
  idempotency_key: string;
  /** SHA-256 of method, path and body. */
  fingerprint: string;
  /** Until then its first request is at work. */
  locked_until: string;
  /** The run that its request has begun, or that its answer is about. */
  run_id: string | null;
  /** Null until it is answered. */
  status: number | null;
  /** Null with a status: that run is purged. */
  answer_encrypted: string | null;
  created_at: Generated<string>;
}

/** As rate-limiter-flexible has it (`src/http/rate-limits.ts`), which also takes away what is over; `db/rate-limits.ts` counts here too. */
interface RateLimitTable {
  key: string;
  points: Generated<number>;
  /** Milliseconds since 1970. */
  expire: number | null;
}

/** Every definition that was ever saved or run, by the hash of its content. */
interface DefinitionTable {
  hash: string;
  definition: Json<Definition>;
  /** When somebody last kept it, about to need it. */
  kept_at: Generated<string>;
}

/** The orchestrations of accounts. Those that ship with Orchflow are in the code. */
interface OrchestrationTable {
  account_id: string;
  id: string;
  hash: string;
  created_at: Generated<string>;
  updated_at: Generated<string>;
}

export type OAuthClient = Selectable<OAuthClientTable>;
export type OAuthArtifact = Selectable<OAuthArtifactTable>;
export type ApiKey = Selectable<ApiKeyTable>;
export type Person = Selectable<PersonTable>;
export type Provider = Selectable<ProviderTable>;
export type IdempotencyKey = Selectable<IdempotencyKeyTable>;
export type WebhookDelivery = Selectable<WebhookDeliveryTable>;
export type WebhookSubscription = Selectable<WebhookSubscriptionTable>;
export type AgentCall = Selectable<AgentCallTable>;
export type NewAgentCall = Insertable<AgentCallTable>;
export type NewProvider = Insertable<ProviderTable>;
export type Run = Selectable<RunTable>;
/** One that is not purged. */
export type OwnRun = Run & { account_id: string };
export type Task = Selectable<TaskTable>;
export type Gate = Selectable<GateTable>;
export type McpServer = Selectable<McpServerTable>;
export type LlmCall = Selectable<LlmCallTable>;
export type ToolCall = Selectable<ToolCallTable>;
export type FailedTry = Selectable<FailedTryTable>;
export type NewRun = Insertable<RunTable> & { account_id: string };

export type FileStatus = 'uploading' | 'stored' | 'deleted';

/** What is in it lies in the store (`src/files/`). */
interface FileTable {
  file_id: string;
  /** Null of one that is deleted, or whose account is. */
  account_id: string | null;
  status: Generated<FileStatus>;
  name: string;
  media_type: string;
  /** In bytes. */
  size: number;
  sha256: string;
  /** Of an upload with an `Idempotency-Key`. */
  request_id: string | null;
  created_at: Generated<string>;
}
export type File = Selectable<FileTable>;

/** A file that a run was given, as it was then. */
interface RunFileTable {
  run_id: string;
  /** At whose answer; empty with the goal. */
  gate_id: Generated<string>;
  file_id: string;
  task_id: string | null;
  position: number;
  name: string;
  media_type: string;
  size: number;
  /** What models are given of it; null when it is no text. */
  text_id: string | null;
}

/** The agents of accounts, each as its newest version says. Their names differ, whatever the case. */
interface AgentTable {
  agent_id: string;
  account_id: string;
  name: string;
  /** The number of its newest version. */
  latest: Generated<number>;
  /** The highest that was ever one, or less: a number is not given twice. */
  last_number: Generated<number>;
  created_at: Generated<string>;
  updated_at: Generated<string>;
}

/** What a version does is never changed. How it is offered may be. */
interface AgentVersionTable {
  version_id: Generated<string>;
  agent_id: string;
  /** From 1: `v1`. */
  number: number;
  spec: Json<AgentSpec>;
  type: Generated<PackageType>;
  /** Whether other accounts find it, may call it, and may have all of it to run themselves. */
  is_public: Generated<boolean>;
  callable: Generated<boolean>;
  allow_local_download: Generated<boolean>;
  /** What a call costs whoever is not its author; null is nothing. */
  price_cents: number | null;
  tags: Generated<string[]>;
  /** It goes 60 days after it was deprecated. */
  deprecated_at: string | null;
  /** The SHA-256 of its code, a zip in the file store; null until there is one. */
  code_hash: string | null;
  bundle_size_bytes: number | null;
  entrypoint: string | null;
  created_at: Generated<string>;
}

/** A run of an agent that was called as `org/agent@version`, by another account or by another agent. */
interface AgentCallTable {
  run_id: string;
  /** Who calls, and whose agent it is; the run is of who calls. */
  account_id: string;
  key_id: string;
  owner_id: string;
  version_id: string;
  /** As it was called: `acme/invoice-scanner`, `v1`, `analyze`. */
  agent: string;
  version: string;
  endpoint: string;
  /** Whom of its own the caller calls it for. */
  tenant: string | null;
  /** The same of two calls that ask for the same by the same key. */
  fingerprint: string;
  /** Who waits for the answer, and the process of the API where they do; null: nobody does. */
  waiter: string | null;
  listener: number | null;
  /** When who waited last has left without it. */
  left_at: string | null;
  answered_at: string | null;
  /** The first of a chain of agents that call each other, the one that calls, and all of them in their order. */
  root_run_id: string;
  parent_run_id: string | null;
  chain: string[];
  /** How many more calls may follow each other; null is any number. */
  max_hops: number | null;
  deadline_at: string | null;
  downstream: OptionalJson<DownstreamTerms>;
  /** Of the request, as the run has them too, but with their codes. */
  warnings: OptionalJson<CallWarning[]>;
  created_at: Generated<string>;
}

/** `field`: of the input. */
export type CallWarning = { code: string; field?: string; message: string };

/** As what a run was called that is purged, for what is journalled of it yet. It goes with the row of the run. */
interface PurgedCallTable {
  run_id: string;
  account_id: string;
  owner_id: string;
  version_id: string;
  agent: string;
  version: string;
  tenant: string | null;
  key_id: string;
  created_at: string;
}

/** Whose calls are counted: those that an account makes, or those that others make of its agents. */
export type UsageSide = 'caller' | 'author';

/**
 * What calls have come to, by the hour (UTC) in which they were made, whatever has become of their runs; written by triggers alone.
 * Rows of models have a vendor and a model, all others have neither. Of the side `author` there are no tenants, keys, models and costs.
 */
interface UsageCountTable {
  account_id: string;
  side: UsageSide;
  hour: string;
  version_id: string;
  agent: string;
  version: string;
  /** Empty is none. */
  tenant: string;
  key_id: string;
  vendor: string;
  model: string;
  calls: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  /** Of those that have ended. */
  duration_ms: number;
  llm_calls: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: string;
  /** Of the sandbox: each try by itself. */
  code_runs: number;
  wall_ms: number;
  cpu_ms: number;
}

/** What an agent that was called may call itself, and spend on that, in US cents; what is missing is not bounded. */
export type DownstreamTerms = {
  per_call_cap?: number;
  spend_cap?: number;
  /** It may call only these (`acme/scanner`), and so may those that it calls. */
  only?: string[];
};
/** A version, as its row says. */
export type AgentVersionRow = Selectable<AgentVersionTable>;

export type PackageType = 'agent' | 'skill' | 'prompt' | 'tool';

/** What makes the output: its model once, its model in turns with tools, or its code. */
export type Engine = 'direct_llm' | 'managed_loop' | 'code_runtime';

/** What is said of an agent that is published as a package, beside what is said of any agent. */
export type PackageSpec = {
  engine: Engine;
  run_mode: 'on_demand' | 'always_on';
  /** Where it is called when nothing else is said. */
  default_endpoint: string;
  /** The media types of files that it takes; none: any. */
  accepts: string[];
  /** Of code: how it is run; whether it may be run again after a crash, and what happens where it may not. */
  runtime: { command: string } | null;
  idempotent: boolean;
  on_interrupted: 'fail' | 'ask';
  environment: Record<string, string> | null;
  loop: Record<string, unknown> | null;
  manifest: PackageManifest | null;
  supported_providers: string[];
  default_models: Record<string, string>;
  /** The models that its code asks for, by what it needs them for. */
  model_tasks: Record<string, string>;
  required_secrets: string[];
  optional_secrets: string[];
  /** Skill packages (`org/skill@v1`) whose texts are added to its prompt, unless who calls says otherwise and may. */
  default_skills: string[];
  skills_locked: boolean;
  skill_files: { path: string; content: string; size: number }[];
  url: string | null;
  source_url: string | null;
  pip_package: string | null;
  run_command: string | null;
  sdk_compatible: boolean;
  /** The schemas as they were given, where not all of them is checked; and the places that are not (`input_schema/properties/a/pattern`). */
  given_schemas?: { input_schema?: Record<string, unknown>; output_schema?: Record<string, unknown> };
  unchecked?: string[];
};

/** What an agent that calls others says of that. `hosts`: those that its code may reach. Caps are in US cents. */
export type PackageManifest = {
  manifest_version?: number;
  dependencies?: { id: string; version: string }[];
  max_hops?: number;
  timeout_ms?: number;
  per_call_downstream_cap?: number;
  downstream_spend_cap?: number;
  orchestration_mode?: 'strict' | 'flexible';
  hosts?: string[];
};

/** What the run of one agent keeps of what it says. */
export type AgentTerms = Pick<AgentSpec, 'timeout_seconds' | 'output_schema'> & {
  /** Given where code makes the output, and no model. */
  code?: CodeTerms;
  /** Missing of agents that are no packages. */
  engine?: Engine;
  /** It has failed by then, in milliseconds since 1970; missing where it may last. */
  deadline_at?: number;
  /** Who called it said that it ends then; else it is the time of the agent itself. */
  deadline_is_callers?: boolean;
  /** The text of an input that is too long for lists; then the run's `task` is its beginning. */
  input_id?: string;
};

/** What the run of code keeps of its version. */
export type CodeTerms = Pick<PackageSpec, 'idempotent' | 'on_interrupted' | 'model_tasks'> & {
  command: string;
  code_hash: string;
  /** Those that it may reach, where the operator allows it too. */
  hosts: string[];
};

/** A JSON Schema that was checked (`src/agents/json-schema.ts`). */
export type JsonSchema = Record<string, unknown>;

/** What a version of an agent says. The limits of cost, time and the schemas are those of its own runs. */
export type AgentSpec = {
  name: string;
  description: string | null;
  system_prompt: string | null;
  /** Null: that of its provider, or of the run. */
  model: string | null;
  /** Null: that of the run. */
  provider_id: string | null;
  tools: AgentTool[];
  /** The knowledge bases that it searches in. */
  knowledge: string[];
  max_turns: number;
  timeout_seconds: number;
  /** Its output waits for a person. */
  require_approval: boolean;
  max_cost_usd: number | null;
  max_tokens: number | null;
  on_budget: 'gate' | 'fail';
  input_schema: JsonSchema | null;
  output_schema: JsonSchema | null;
  /** Missing of those that are no packages. */
  package?: PackageSpec;
};

/** What agents and people search in. `provider_id` is null where the embeddings are our own, of hashed words. */
interface KnowledgeBaseTable {
  knowledge_id: string;
  account_id: string;
  name: string;
  description: string | null;
  provider_id: string | null;
  embedding_model: string;
  /** Null until the model has first answered. */
  dimensions: number | null;
  /** Goes up when its model becomes another: what was embedded before counts no more. */
  embedding_version: Generated<number>;
  /** Goes up with every change of it. */
  version: Generated<number>;
  created_at: Generated<string>;
  updated_at: Generated<string>;
}
export type KnowledgeBase = Selectable<KnowledgeBaseTable>;

/** What the embeddings of a base have come to, as triggers add it up: also when the journal of the calls is gone. */
interface KnowledgeUsageTable {
  knowledge_id: string;
  llm_calls: Generated<number>;
  input_tokens: Generated<number>;
  cost_usd: Generated<string>;
}

export type DocumentStatus = 'pending' | 'indexing' | 'indexed' | 'failed';

interface DocumentTable {
  document_id: string;
  account_id: string;
  knowledge_id: string;
  /** The file may be deleted meanwhile. */
  file_id: string;
  name: string;
  media_type: string;
  size: number;
  sha256: string;
  status: Generated<DocumentStatus>;
  /** How often its indexing was begun. */
  attempt: Generated<number>;
  failure: string | null;
  /** Null until they are counted; of what has no pages, for ever. */
  pages: number | null;
  pages_done: Generated<number>;
  /** Null until its text is cut into them. */
  chunks: number | null;
  /** How many of them are embedded. */
  chunks_done: Generated<number>;
  created_at: Generated<string>;
  /** Since then it is found. */
  indexed_at: string | null;
}
export type KnowledgeDocument = Selectable<DocumentTable>;

/** Those that are deleted, whose chunks go after them. */
interface GoneDocumentTable {
  document_id: string;
}

/** A passage of a document, as it is found. */
interface ChunkTable {
  document_id: string;
  /** From 1. */
  position: number;
  knowledge_id: string;
  page: number | null;
  heading: string | null;
  text: string;
  /** Of what is embedded of it. */
  sha256: string;
  search: string;
  embedding: number[] | null;
  /** The same as bytes, each number in the order of the network (big-endian). */
  floats: Buffer | null;
  embedding_version: number | null;
  dimensions: GeneratedAlways<number | null>;
}

/** Code of people, as a ZIP archive in the file store. */
interface BundleTable {
  /** SHA-256 of the archive. */
  code_hash: string;
  bundle_size_bytes: number;
  unpacked_bytes: number;
  files: number;
  status: Generated<'storing' | 'stored'>;
  /** When somebody last kept it, about to need it. */
  kept_at: Generated<string>;
}
export type Bundle = Selectable<BundleTable>;

/** `interrupted`: its worker was lost. `cancelled`: with its run. The others are how its process ended. */
export type CodeEnd = 'exited' | 'time' | 'memory' | 'output' | 'killed' | 'interrupted' | 'cancelled';

/** Why code gave no output. */
export type CodeFault = {
  code: 'SANDBOX_ERROR' | 'SANDBOX_TIMEOUT' | 'TIMEOUT' | 'INVALID_OUTPUT';
  category: 'code_error' | 'setup_error' | null;
  message: string;
};

/** One time that code was run, for a run of its agent or for a call of the tool run_code. Its row is there before its process. */
interface CodeRunTable {
  /** The same of all tries. */
  call_id: string;
  /** From 1. */
  try: number;
  run_id: string;
  task_id: string | null;
  worker_id: string;
  /** The key that it was given for the house's own API. */
  key_id: string | null;
  started_at: Generated<string>;
  /** Null while it is under way, or was when its worker was lost. */
  ended: CodeEnd | null;
  ended_at: string | null;
  exit_code: number | null;
  /** From its start to its end; null where nobody saw the end. */
  wall_ms: number | null;
  cpu_ms: number | null;
  stdout_id: string | null;
  stderr_id: string | null;
  stdout_is_cut: Generated<boolean>;
  stderr_is_cut: Generated<boolean>;
  output_id: string | null;
  /** Null of one that gave an output. */
  fault: NullableJson<CodeFault>;
}
export type CodeRun = Selectable<CodeRunTable>;

/** A file that a call of run_code has left, in the file store of its account. */
interface CodeFileTable {
  call_id: string;
  name: string;
  run_id: string;
  file_id: string;
  media_type: string;
  size: number;
}

/** A worker that runs code, or says why it does not. */
interface CodeWorkerTable {
  worker_id: string;
  /** Null: it has no sandbox. */
  driver: string | null;
  languages: string[];
  reason: string | null;
  seen_at: Generated<string>;
}
export type CodeWorker = Selectable<CodeWorkerTable>;
