"""Prints the table of the bus as a document: streams, consumers, requests, permissions.

`python -m shared.bus.documents > docs/bus.md`; a test keeps the file equal to the table.
"""

import sys
from collections.abc import Iterable

from shared.bus.topology import (
    CONSUMERS,
    DAY_SECONDS,
    FILE_STORE_BYTES_MAX,
    HOUSE_USERS,
    MIB,
    REQUESTS,
    ROLES,
    STREAMS,
    Permissions,
    permissions_of_house_user,
    permissions_of_person,
)


def render_markdown() -> str:
    """Return docs/bus.md."""
    reserved = sum(stream.max_bytes for stream in STREAMS)
    parts = [
        "# The bus",
        "Printed from `shared/bus/topology.py` by `python -m shared.bus.documents > docs/bus.md`; do not edit.",
        "## Streams",
        f"All keep their messages in files until a limit is reached. Together they reserve {_size(reserved)} of the "
        f"{_size(FILE_STORE_BYTES_MAX)} that a server may use.",
        _table(
            ("stream", "holds", "subjects", "size", "age", "when full", "ids remembered", "also"),
            (
                (
                    stream.name,
                    stream.holds,
                    _codes(stream.subjects),
                    _size(stream.max_bytes),
                    _age(stream.max_age_seconds),
                    "refuses new" if stream.discard == "new" else "drops old",
                    _age(stream.duplicate_window_seconds),
                    ", ".join(
                        name
                        for name, holds in (
                            ("atomic batches", stream.allow_atomic),
                            ("no deletion", stream.deny_delete),
                            ("time to live per message", stream.allow_msg_ttl),
                            (f"{stream.max_msgs_per_subject} message per subject", stream.max_msgs_per_subject > 0),
                            ("flushed later when single", stream.is_async_when_single),
                        )
                        if holds
                    ),
                )
                for stream in STREAMS
            ),
        ),
        "## Consumers",
        _table(
            ("consumer", "service", "stream", "subjects", "seconds to acknowledge", "in flight at most"),
            (
                (
                    consumer.name,
                    consumer.service,
                    consumer.stream,
                    _codes(consumer.filters) or "all",
                    str(consumer.ack_wait_seconds),
                    str(consumer.max_ack_pending),
                )
                for consumer in CONSUMERS
            ),
        ),
        "## Requests",
        "People ask on these subjects from their own account; the server writes who asks into the request.",
        _table(
            ("subject", "answered by", "roles"),
            ((_codes((request.subject,)), request.service, ", ".join(request.roles)) for request in REQUESTS),
        ),
        "## Permissions",
        "What is not listed is refused. `NAME` stands for a person's user.",
        _table(
            ("user", "may publish", "may subscribe", "may answer"),
            (
                *(_permission_row(user, permissions_of_house_user(user)) for user in HOUSE_USERS),
                *(
                    _permission_row(f"person, {role}", permissions_of_person("name", frozenset({role})))
                    for role in ROLES
                ),
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _permission_row(user: str, permissions: Permissions) -> tuple[str, ...]:
    subscribe = tuple(subject.replace("_INBOX_name.", "_INBOX_NAME.") for subject in permissions.subscribe)
    return (user, _codes(permissions.publish), _codes(subscribe), "yes" if permissions.may_respond else "no")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _codes(subjects: Iterable[str]) -> str:
    return "<br>".join(f"`{subject}`" for subject in subjects)


def _size(count: int) -> str:
    mib = count // MIB
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib} MiB"


def _age(seconds: int) -> str:
    if seconds == 0:
        return "no limit"
    return f"{seconds // DAY_SECONDS} d" if seconds % DAY_SECONDS == 0 else f"{seconds} s"


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
