"""Every step of a client of Orchflow, by the package that openapi-python-client has made of /openapi.json."""

import os
import pkgutil
from importlib import import_module
from random import random

import orchflow
from orchflow import AuthenticatedClient, Client
from orchflow import models as m

url = os.environ["ORCHFLOW_URL"]
# Every module, also of operations that are not called here.
modules = [import_module(found.name) for found in pkgutil.walk_packages(orchflow.__path__, "orchflow.")]
operations = {module.__name__.split(".")[-1]: module for module in modules if hasattr(module, "sync")}


def call(name, client, *path, **given):
    return operations[name].sync(*path, client=client, **given)


def answer_gate(client):
    goal = m.CreateRun(task="Compare three note apps.", ask_me_about=["the budget"])
    run_id = call("create_run", client, body=goal).run_id
    run = call("get_run", client, run_id, wait=30)
    while not run.waiting_tasks:
        run = call("get_run", client, run_id, wait=30)
    answer = m.CompleteTask(output="Ten euros.", gate_id=run.tasks[0].gate.gate_id)
    assert call("complete_task", client, run_id, "T1", body=answer).decision == "approve"
    while run.status != "completed":
        assert run.status != "failed", run.error
        run = call("get_run", client, run_id, wait=30)
    assert run.final_output and run.completed_at > run.created_at
    return run_id


def refusals(client, run_id):
    again = call("complete_task", client, run_id, "T1", body=m.CompleteTask(output="Twenty."))
    assert again.answer.output == "Ten euros." and again.task_status == "completed", again
    assert call("create_run", client, body=m.CreateRun(task=" ")).errors[0].pointer == "/task"


def gates(client):
    human_gates = ["legal approval", m.HumanGate(name="the price", gate_due_in="1d")]
    run_id = call("create_run", client, body=m.CreateRun(task="Set a price.", human_gates=human_gates)).run_id
    gates_of_run = call("get_run", client, run_id).human_gates
    assert [gates_of_run[0], gates_of_run[1].gate_due_in] == ["legal approval", "1d"]
    assert call("cancel_run", client, run_id).status == "cancelled"


def pages(client):
    first = call("list_runs", client, limit=1)
    second = call("list_runs", client, limit=1, cursor=first.next_cursor)
    assert not second.has_more and second.runs[0].run_id != first.runs[0].run_id


def orchestration(client):
    start = m.StartOrchestration(message="Note apps")
    paused = call("run_orchestration", client, "orch-research-report", body=start)
    assert isinstance(paused, m.OrchestrationPaused) and paused.human_input_required.prompt, paused
    answer = m.ResumeOrchestration(response={"decision": "approve"})
    ended = call("resume_orchestration_run", client, paused.run_id, body=answer)
    assert isinstance(ended, m.OrchestrationEnded) and ended.status == "completed", ended
    assert ended.shared_state.additional_properties
    goes_on = call("run_orchestration", client, "orch-research-report", body=start, wait=0)
    assert isinstance(goes_on, m.OrchestrationGoesOn), goes_on


def definition(client):
    size = m.HumanField(name="size", type_=m.HumanFieldType.NUMBER)
    ask = m.HumanStep(id="ask", name="Ask", type_=m.HumanStepType.HUMAN, human_fields=[size], next_step_id="end")
    steps = [ask, m.EndStep(id="end", name="End", type_=m.EndStepType.END)]
    body = m.OrchestrationDefinition(name="Ask", entry_step_id="ask", steps=steps)
    assert len(call("create_orchestration", client, body=body).steps) == 2


account = m.Register(name="Ada", email=f"openapi.python.client.{random()}@example.com")
api_key = call("register_account", Client(base_url=url), body=account).api_key
# Waits take longer than the five seconds of httpx.
user = AuthenticatedClient(base_url=url, token=api_key, timeout=60)
run = answer_gate(user)
refusals(user, run)
gates(user)
pages(user)
orchestration(user)
definition(user)
assert "event: run.completed" in call("follow_run", user, run)
