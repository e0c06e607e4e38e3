"""What Schemathesis sends, besides what schemathesis.toml says."""

import itertools
import os
import time

import schemathesis

org, other_org = os.environ["ORG"], os.environ["OTHER_ORG"]
#: Agents that there are, as they are called, and that stand for most of those that are made up.
agents = [(org, "scanner", "v1"), (org, "scanner", "latest"), (other_org, "scanner", "v1"), (org, "reader", "v1"), (org, "lead", "v1"), (org, "coder", "v1")]
turns = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """
    The key that everything is asked with stays: without it all that follows is a 401. Agents are mostly those that there are, and a
    deadline is mostly one that has not passed.
    """
    given = case.path_parameters or {}
    if given.get("key_id") == os.environ["OWN_KEY_ID"]:
        given["key_id"] = "key_unknown"
    turn = next(turns)
    if {"org", "agent", "version"} <= given.keys() and turn % 5 > 0:
        given["org"], given["agent"], given["version"] = agents[turn % len(agents)]
        if "endpoint" in given:
            given["endpoint"] = "run" if turn % 2 else "analyze"
    if "version_id" in given and case.method != "DELETE" and turn % 3 > 0:
        given["version_id"] = os.environ["SPARE"]
    if "workspace_id" in given and turn % 3 > 0:
        given["workspace_id"] = os.environ["WORKSPACE"]
    headers = case.headers or {}
    if headers.get("x-orchagent-deadline-ms", "").isdecimal():
        headers["x-orchagent-deadline-ms"] = str(int(time.time() * 1000) + 60_000)


@schemathesis.hook
def after_call(context, case, response):
    """So that it is known whether calls have come to anything."""
    if case.operation.path == "/{org}/{agent}/{version}/{endpoint}":
        with open(os.environ["CALLED"], "a") as file:
            file.write(f"{(case.path_parameters or {}).get('agent')} {response.status_code}\n".encode("ascii", "replace").decode())


@schemathesis.hook
def filter_body(context, body):
    """Null for a field is no such field, whereas the schema, of which clients are made, says of what type it is."""
    return not has_null(body)


@schemathesis.hook
def filter_query(context, query):
    """Node itself answers 431 to more than 16 KiB of headers, the path with its query among them."""
    return sum(len(str(value).encode()) for value in (query or {}).values()) < 4_000


@schemathesis.hook
def map_body(context, body):
    """They wait for the run for ten minutes unless told otherwise."""
    if context.operation.definition.raw.get("operationId") in waiting and isinstance(body, dict):
        wait = body.get("wait", 1)
        return {**body, "wait": min(wait, 1) if isinstance(wait, (int, float)) and not isinstance(wait, bool) else wait}
    return body


waiting = ["orchstackRunAgent", "executeWorkflow"]


def has_null(value):
    if isinstance(value, dict):
        return any(has_null(member) for member in value.values())
    if isinstance(value, list):
        return any(has_null(item) for item in value)
    return value is None
