"""Every step of a client of Orchflow, by the package that OpenAPI Generator (python) has made of /openapi.json."""

import os
from random import random

import orchflow as o

url = os.environ["ORCHFLOW_URL"]


def refused(call):
    try:
        call()
    except o.ApiException as error:
        return error.data
    raise AssertionError("It was not refused.")


def answer_gate(runs, tasks):
    goal = o.CreateRun(task="Compare three note apps.", ask_me_about=[o.CreateRunAskMeAboutInner("the budget")])
    run_id = runs.create_run(goal).run_id
    run = runs.get_run(run_id, wait=30)
    while not run.waiting_tasks:
        run = runs.get_run(run_id, wait=30)
    answer = o.CompleteTask(output="Ten euros.", gate_id=run.tasks[0].gate.gate_id)
    assert tasks.complete_task(run_id, "T1", answer).decision == "approve"
    while run.status != "completed":
        assert run.status != "failed", run.error
        run = runs.get_run(run_id, wait=30)
    assert run.final_output and run.completed_at > run.created_at
    return run_id


def refusals(runs, tasks, run_id):
    again = refused(lambda: tasks.complete_task(run_id, "T1", o.CompleteTask(output="Twenty.")))
    assert again.answer.output == "Ten euros." and again.task_status == "completed", again
    assert refused(lambda: runs.create_run(o.CreateRun(task=" "))).errors[0].pointer == "/task"


def gates(runs):
    plain = o.CreateRunHumanGatesInner("legal approval")
    own = o.CreateRunHumanGatesInner(o.HumanGate(name="the price", gate_due_in="1d"))
    run_id = runs.create_run(o.CreateRun(task="Set a price.", human_gates=[plain, own])).run_id
    assert runs.get_run(run_id).human_gates[1].actual_instance.gate_due_in == "1d"
    assert runs.cancel_run(run_id).status == "cancelled"


def pages(runs):
    first = runs.list_runs(limit=1)
    second = runs.list_runs(limit=1, cursor=first.next_cursor)
    assert not second.has_more and second.runs[0].run_id != first.runs[0].run_id


def orchestration(orchestrations):
    start = o.StartOrchestration(message="Note apps")
    paused = orchestrations.run_orchestration("orch-research-report", start).actual_instance
    assert isinstance(paused, o.OrchestrationPaused) and paused.human_input_required.prompt, paused
    answer = o.ResumeOrchestration(response={"decision": "approve"})
    resumed = orchestrations.resume_orchestration_run(paused.run_id, answer)
    ended = resumed.actual_instance
    assert isinstance(ended, o.OrchestrationEnded) and ended.status == "completed" and ended.shared_state, ended
    goes_on = orchestrations.run_orchestration("orch-research-report", start, wait=0).actual_instance
    assert isinstance(goes_on, o.OrchestrationGoesOn), goes_on


def definition(orchestrations):
    size = o.HumanField(name="size", type="number")
    ask = o.HumanStep(id="ask", name="Ask", type="human", human_fields=[size], next_step_id="end")
    end = o.EndStep(id="end", name="End", type="end")
    steps = [o.OrchestrationDefinitionStepsInner(ask), o.OrchestrationDefinitionStepsInner(end)]
    body = o.OrchestrationDefinition(name="Ask", entry_step_id="ask", steps=steps)
    assert len(orchestrations.create_orchestration(body).steps) == 2


nobody = o.AuthApi(o.ApiClient(o.Configuration(host=url)))
account = o.Register(name="Ada", email=f"openapi.generator.{random()}@example.com")
api_key = nobody.register_account(account).api_key
user = o.ApiClient(o.Configuration(host=url, api_key={"apiKey": api_key}))
run = answer_gate(o.RunsApi(user), o.TasksApi(user))
refusals(o.RunsApi(user), o.TasksApi(user), run)
gates(o.RunsApi(user))
pages(o.RunsApi(user))
orchestration(o.OrchestrationRunsApi(user))
definition(o.OrchestrationsApi(user))
assert "event: run.completed" in o.RunsApi(user).follow_run(run)
