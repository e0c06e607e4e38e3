/** What `test/http/tenants.test.ts` asks for. */

/** Every id that a path can name, none of which is anybody's. */
export const nobodys = [
  {
    run_id: 'run_00000000000000000000',
    task_id: 'T1',
    provider_id: 'prv_00000000000000000000',
    delivery_id: 'msg_run_00000000000000000000_1',
    orch_id: 'nobodys',
    server_name: 'nobodys',
    key_id: 'key_00000000000000000000',
    subscription_id: 'sub_00000000000000000000',
    file_id: 'file_00000000000000000000',
    agent_id: 'agt_00000000000000000000',
    version: 'v1',
    person_id: 'per_00000000000000000000',
    gate_id: 'gate_00000000000000000000_T1_1',
    workflow_id: 'nobodys',
    webhook_id: 'sub_00000000000000000000',
    client_id: 'ocl_00000000000000000000',
    grant_id: '0'.repeat(43),
    knowledge_id: 'kb_00000000000000000000',
    document_id: 'doc_00000000000000000000',
    version_id: '00000000-0000-4000-8000-000000000000',
    org: 'nobodys',
    agent: 'nobodys',
    endpoint: 'run',
    workspace_id: '00000000-0000-8000-8000-000000000000',
    trace_id: '00000000-0000-8000-8000-000000000000',
  },
];

/** What is sent, by the path. */
export const posted: [RegExp, object][] = [
  [/^\/v1\/agents\/\w+\/run$/, { input: 'A clause.' }],
  [/^\/v1\/workflows\/\w+\/execute$/, { input: 'Note apps' }],
  [/^\/v1\/.*\/gates\/\w+$/, { output: 'The budget is ten euros.' }],
  [/\/rerun$/, { from_task: 'T1' }],
  [/\/correct$/, { output: 'Ten euros.' }],
  [/\/agents\/\w+\/runs$/, { input: 'A clause.' }],
  [/\/run(\/stream)?$/, { message: 'Note apps' }],
  [/\/resume(\/stream)?$/, { response: { decision: 'approve' } }],
  [/\/search$/, { query: 'Mine' }],
  [/\/assign$/, { person_id: null }],
  [/\/complete$/, { output: 'The budget is ten euros.' }],
  [/./, {}],
];
