import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { hasRequests } from '../harness/python.ts';

/** The Python of the published documentation, word for word; only the host and the placeholder key are exchanged. */

const startFromBackend = `
import requests

api_key = "orch_your_key"

run = requests.post(
    "https://api.orchflow.cloud/api/v1/runs",
    headers={"X-API-Key": api_key},
    json={
        "task": "Research competitors, compare pricing, then draft our launch strategy.",
        "agents": [
            {"name": "research"},
            {"name": "analyst"},
            {"name": "writer"}
        ],
        "ask_me_about": ["company details", "brand voice"],
        "require_approval": False
    }
).json()

run_id = run["run_id"]
`;

const resumeHumanTask = `
import requests

requests.post(
    f"https://api.orchflow.cloud/api/v1/runs/{run_id}/tasks/T1/complete",
    headers={"X-API-Key": api_key},
    json={
        "output": "Target audience is solo freelancers. Brand voice should be practical and founder-friendly."
    }
)
`;

const contentAgency = `
import requests

ORCHFLOW_KEY = "orch_your_key"
BASE = "https://api.orchflow.cloud/api/v1"

def start_content_workflow(brief: str, editor_webhook: str) -> str:
    r = requests.post(f"{BASE}/runs",
        headers={"X-API-Key": ORCHFLOW_KEY},
        json={
            "task": brief,
            "agents": [
                {"name": "research"},
                {"name": "analyst"},
                {"name": "writer"},
            ],
            "ask_me_about": ["client goals", "brand voice", "must-avoid claims"],
            "require_approval": False,
            "webhook_url": editor_webhook,
        }
    )
    return r.json()["run_id"] # returns instantly, runs in background

# Webhook fires when human context is needed
# payload: {run_id, event: "waiting_human", waiting_tasks: ["T3"]}
def answer_orchflow(run_id: str, task_id: str, answer: str):
    requests.post(
        f"{BASE}/runs/{run_id}/tasks/{task_id}/complete",
        headers={"X-API-Key": ORCHFLOW_KEY},
        json={"output": answer}
    )
    # Run resumes automatically - your answer becomes context for the next task
`;

const orchestrate = `
import requests

BASE = "http://localhost:8000/api/v1"
HEADERS = {"Authorization": "Bearer YOUR_KEY"}

# 1. Start the orchestration
resp = requests.post(
    f"{BASE}/orchestrations/orch-research-report/run",
    headers=HEADERS,
    json={"message": "AI orchestration trends 2025"}
)
data = resp.json()

if data["status"] == "paused":
    run_id = data["run_id"]
    human_prompt = data["human_input_required"]["prompt"]
    print(f"Human approval needed: {human_prompt}")

    # 2. Collect human input (e.g. from your UI)
    decision = input("Approve? (yes/no): ")

    # 3. Resume the orchestration
    resume_resp = requests.post(
        f"{BASE}/orchestrations/runs/{run_id}/resume",
        headers=HEADERS,
        json={"response": {"decision": decision, "notes": "Approved via API"}}
    )
    final = resume_resp.json()
    print(f"Status: {final['status']}")
    print(f"Article: {final['shared_state'].get('article', '')[:200]}...")

elif data["status"] == "completed":
    print(data["response"])
`;

const encryptionKey = `import secrets,base64; print(base64.b64encode(secrets.token_bytes(32)).decode())`;

describe.skipIf(!hasRequests)('the Python examples', () => {
  let orchflow: Orchflow;
  let user: User;

  beforeAll(async () => {
    orchflow = await startOrchflow();
  });
  afterAll(() => orchflow.stop());
  beforeEach(async () => {
    user = await orchflow.register();
  });

  /** Runs the script against our host and returns what it prints. Texts are passed as arguments. */
  async function python(script: string, ...args: string[]): Promise<string> {
    const ours = script
      .replaceAll(/https:\/\/api\.orchflow\.cloud|http:\/\/localhost:8000/g, orchflow.url)
      .replaceAll(/orch_your_key|YOUR_KEY/g, user.api_key);
    const running = promisify(execFile)('python3', ['-c', ours, ...args], { timeout: 120_000 });
    running.child.stdin!.end('yes\n');
    return (await running).stdout.trim();
  }

  test('start a run from a backend and resume its human task', async () => {
    const run_id = await python(`${startFromBackend}\nprint(run_id)`);
    const run = user.openRun(run_id);
    await run.untilWaiting('T1');
    await python(`import sys\nrun_id, api_key = sys.argv[1:]\n${resumeHumanTask}`, run_id, user.api_key);
    const done = await run.until('completed');
    expect(done.tasks[0]!.output).toMatch(/^Target audience is solo freelancers\./);
    expect(done.final_output).toMatch(/\S/);
  });

  test('a content agency: the webhook says which task waits, the answer resumes the run', async () => {
    const editor = await startFakeWebhook();
    const brief = 'Write an article about note-taking apps.';
    const run_id = await python(
      `${contentAgency}\nimport sys\nprint(start_content_workflow(*sys.argv[1:]))`,
      brief,
      editor.url,
    );
    const { payload } = await editor.untilReceived('waiting_human');
    expect(payload).toEqual({ run_id, event: 'waiting_human', waiting_tasks: ['T1'] });
    await python(`${contentAgency}\nimport sys\nanswer_orchflow(*sys.argv[1:])`, run_id, 'T1', 'No superlatives.');
    expect((await editor.untilReceived('completed')).payload.run_id).toBe(run_id);
    expect((await user.openRun(run_id).get()).tasks[0]).toMatchObject({
      status: 'completed',
      output: 'No superlatives.',
    });
    await editor.close();
  });

  test('run an orchestration, answer its gate and resume it', async () => {
    const printed = await python(orchestrate);
    expect(printed).toContain('Human approval needed: Please review the draft article and decide whether to publish.');
    expect(printed).toContain('Status: completed');
    expect(printed).toMatch(/Article: ## Write\n/);
  });

  test('make an ENCRYPTION_KEY', async () => {
    expect(Buffer.from(await python(encryptionKey), 'base64')).toHaveLength(32);
  });
});
