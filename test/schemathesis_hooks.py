"""What Schemathesis sends, besides what schemathesis.toml says."""

import schemathesis


@schemathesis.hook
def filter_body(context, body):
    """Null for a field is no such field, whereas the schema, of which clients are made, says of what type it is."""
    return not has_null(body)


@schemathesis.hook
def filter_query(context, query):
    """Node itself answers 431 to more than 16 KiB of headers, the path with its query among them."""
    return sum(len(str(value).encode()) for value in (query or {}).values()) < 4_000


def has_null(value):
    if isinstance(value, dict):
        return any(has_null(member) for member in value.values())
    if isinstance(value, list):
        return any(has_null(item) for item in value)
    return value is None
