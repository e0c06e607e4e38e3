"""What Schemathesis sends, besides what schemathesis.toml says."""

import os

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """The key that everything is asked with stays: without it all that follows is a 401."""
    if (case.path_parameters or {}).get("key_id") == os.environ["OWN_KEY_ID"]:
        case.path_parameters["key_id"] = "key_unknown"


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
