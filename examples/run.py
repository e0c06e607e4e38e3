"""A run that asks before it goes on: one draft is sent back with a note, the others are approved, a person does the last task.

Needs `pip install requests`. ORCHFLOW_URL is http://localhost:8000 unless given; without ORCHFLOW_API_KEY a new account
is registered.
"""

import os
import sys
import time
import uuid

import requests

BASE = os.environ.get("ORCHFLOW_URL", "http://localhost:8000") + "/api/v1"

api = requests.Session()
notes = ["Name the prices in euros."]


def call(method, path, body=None):
    # All tries of a request have the same key, so that nothing is done twice.
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    end = time.monotonic() + 60
    while True:
        response = api.request(method, BASE + path, json=body, headers=headers, timeout=60)
        if response.ok:
            return response.json()
        # Given when another try is worth it: the server is busy or just starting, or our first try is still at work.
        pause = int(response.headers.get("Retry-After", 0))
        if not pause or time.monotonic() + pause > end:
            sys.exit(f"{method} {path}: {response.status_code} {response.text}")
        time.sleep(pause)


def decide(task):
    """What a person would be asked; this one knows what to say to each kind of question."""
    kind = task["gate"]["kind"]
    if kind == "approval":
        return {"decision": "reject", "output": notes.pop()} if notes else {"decision": "approve"}
    if kind == "human_task":
        return {"output": "Yes, under the condition that we launch in May."}
    # Such as `escalation`, when the model's provider refuses: that is for whoever can mend it.
    sys.exit(f"{task['id']} waits for {kind}: {task['gate']['reason']}")


def main():
    api.headers["X-API-Key"] = os.environ.get("ORCHFLOW_API_KEY")
    if not api.headers["X-API-Key"]:
        account = {"name": "Your Name", "email": f"you+{uuid.uuid4().hex}@example.com"}
        api.headers["X-API-Key"] = call("POST", "/auth/register", account)["api_key"]
        print("Registered a new account. Set ORCHFLOW_API_KEY to use yours.")

    run_id = call("POST", "/runs", {
        "task": "Research competitors, compare pricing, then draft our launch strategy.",
        "agents": [{"name": "research"}, {"name": "analyst"}, {"name": "writer"}],
        "require_approval": True,
        "human_gates": ["founder review"],
    })["run_id"]
    print(f"Started {run_id}")

    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        # Answers as soon as the run waits for a person or has ended, and after 30 seconds in any case.
        run = call("GET", f"/runs/{run_id}?wait=30")
        if run["status"] == "completed":
            usage = run["usage"]
            print(f"Completed, with {usage['llm_calls']} model calls for ${usage['cost_usd']}. The result:\n")
            return print(run["final_output"])
        if run["status"] in ("failed", "cancelled"):
            sys.exit(f"The run is {run['status']}: {run['error']}")
        for task in run["tasks"]:
            if task["status"] == "waiting_human":
                # With its `gate_id`, the answer is refused when the task waits for something else by now.
                answer = {**decide(task), "gate_id": task["gate"]["gate_id"]}
                decision = call("POST", f"/runs/{run_id}/tasks/{task['id']}/complete", answer)["decision"]
                print(f"{task['id']} {task['title']}: {decision}. {answer.get('output', '')}")
    sys.exit(f"{run_id} has not ended within ten minutes. It goes on.")


try:
    main()
except requests.RequestException as error:
    sys.exit(f"Orchflow does not answer: {error}")
