"""The house as one AsyncAPI 3.0 document: `python -m deploy.documents.asyncapi > docs/asyncapi.yaml`.

Made from the table of the bus, the table of publications, the events, and the routes and requests of every service.
It says nothing that those do not say. Leases are left out: they are the services' own affair and no event.
"""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

from pydantic.json_schema import models_json_schema
from ruamel.yaml import YAML

from services.applier import handlers as applier
from services.differ import handlers as differ
from services.extractor import handlers as extractor
from shared.bus.dispatch import RequestRoute, Route
from shared.bus.topology import CONSUMERS, REQUESTS, SERVICE_NAMES, SERVICES, matches, stream_of
from shared.events.commands import Reply
from shared.events.envelope import CONTENT_TYPE, SPEC_VERSION
from shared.events.model import Document
from shared.events.operating import CredentialList, CredentialQuery
from shared.events.publications import PUBLISHES, Publication
from shared.events.queries import QUESTIONS, SERVICE_QUESTIONS, QueryRefused
from shared.events.registry import EVENTS
from shared.events.schedules import ScheduleList, ScheduleQuery
from shared.records.subjects import BATCH_CONTENT_TYPE, BATCH_TYPE

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = ROOT / "docs" / "asyncapi.yaml"
LINE_CHARACTERS: Final = 120

ROUTES: Final[dict[str, tuple[Route[Any], ...]]] = {
    "extractor": extractor.ROUTES,
    "differ": differ.ROUTES,
    "applier": applier.ROUTES,
}
"""What the services with handlers take; the auditor takes whatever its consumers bring."""
COMMANDS: Final[dict[str, tuple[RequestRoute[Any], ...]]] = {
    "extractor": extractor.REQUESTS,
    "differ": differ.REQUESTS,
    "applier": applier.REQUESTS,
}

_PARAMETERS: Final[dict[str, str]] = {
    "run": "Id of the run.",
    "connector": "Name of the connector.",
    "connection": "Name of the connection.",
    "side": "`source` or `target`.",
    "entity": "Name of the entity.",
    "partition": "Number of the partition, `unkeyed` or `quarantine`.",
    "attempt": "The attempt to read; only the one that the run's document names counts.",
    "number": "Number of the page, from 1.",
    "change_id": "Id of the change.",
    "target": "Name of the target connection.",
}
_REPLIES: Final = "replies"

Node = dict[str, Any]


def document() -> Node:
    """The whole document."""
    channels, operations = _event_channels(), _event_operations()
    messages = {name: _event_message(name) for name in dict.fromkeys(row.event_type for row in PUBLISHES)}
    bodies: list[type[Document]] = []
    _add_requests(channels, operations, messages, bodies)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    made: Node = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Aether Integrator",
            "version": project["version"],
            "description": f"{project['description']}\n\nMade from the code; do not edit.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "bus": {
                "host": "{host}:4222",
                "protocol": "nats",
                "description": "NATS with JetStream. Every service and every person has a user of their own.",
                "variables": {"host": {"default": "127.0.0.1", "description": "Where the bus is."}},
                "security": [{"$ref": "#/components/securitySchemes/user"}],
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "securitySchemes": {"user": {"type": "userPassword", "description": "The user's name and password."}},
            "schemas": _schemas(bodies),
            "messages": messages,
        },
    }
    # Through JSON, so that no part stands in the tree twice: YAML would write an alias for it.
    copied: Node = json.loads(json.dumps(made))
    return copied


def document_text() -> str:
    """The document as it stands in its file."""
    yaml = YAML()
    yaml.width = LINE_CHARACTERS
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    out.write("# Printed by `python -m deploy.documents.asyncapi > docs/asyncapi.yaml`; do not edit.\n")
    yaml.dump(document(), out)
    return out.getvalue()


# --- events ---------------------------------------------------------------------------------------------------------


def _event_channels() -> Node:
    channels: Node = {}
    for row in PUBLISHES:
        stream = stream_of(row.pattern)
        channel = channels.setdefault(
            _channel(row),
            {
                "address": row.address,
                "description": f"Stored in stream {stream.name}: {stream.holds}.",
                "messages": {},
                "parameters": {name: {"description": _PARAMETERS[name]} for name in row.parameters},
                "x-stream": stream.name,
            },
        )
        if channel["address"] != row.address:
            raise ValueError(f"{channel['address']} and {row.address} have the same literal tokens; rename one")
        channel["messages"][row.event_type] = {"$ref": f"#/components/messages/{row.event_type}"}
    for channel in channels.values():
        if not channel["parameters"]:
            del channel["parameters"]
    return channels


def _event_operations() -> Node:
    operations: Node = {}
    for service in SERVICE_NAMES:
        own = [row for row in PUBLISHES if service in row.services]
        operations |= _operations(service, "send", own, f"The {service} publishes this.")
        operations |= _operations(service, "receive", _taken_by(service), f"A consumer of the {service} takes this.")
        operations |= _operations(
            service, "receive", _read_by(service), f"The {service} reads what is stored, by direct get."
        )
    return operations


def _operations(service: str, action: str, rows: Iterable[Publication], summary: str) -> Node:
    found: Node = {}
    for row in rows:
        channel = _channel(row)
        operation = found.setdefault(
            f"{service}.{action}.{channel}",
            {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": summary,
                "tags": [{"name": service}],
                "messages": [],
            },
        )
        operation["messages"].append({"$ref": f"#/channels/{channel}/messages/{row.event_type}"})
    return found


def _taken_by(service: str) -> list[Publication]:
    """What a service's consumers bring and its routes take; the auditor takes everything."""
    consumers = [row for row in CONSUMERS if row.service == service]
    routes = ROUTES.get(service)
    wanted = None if routes is None else {route.event.event_type for route in routes}
    return [
        row
        for row in PUBLISHES
        if (wanted is None or row.event_type in wanted)
        and any(
            consumer.stream == stream_of(row.pattern).name
            and (not consumer.filters or any(matches(one, row.pattern) for one in consumer.filters))
            for consumer in consumers
        )
    ]


def _read_by(service: str) -> list[Publication]:
    """What a service may read in streams that have no consumer at all."""
    reads = next(row.reads for row in SERVICES if row.name == service)
    consumed = {row.stream for row in CONSUMERS}
    return [row for row in PUBLISHES if (stream := stream_of(row.pattern).name) in reads and stream not in consumed]


def _event_message(name: str) -> Node:
    message: Node = {
        "name": name,
        "title": name,
        "contentType": CONTENT_TYPE,
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEventHeaders"},
                {"type": "object", "properties": {"ce-type": {"const": name}}},
            ]
        },
    }
    if name == BATCH_TYPE:
        return message | {
            "contentType": BATCH_CONTENT_TYPE,
            "summary": "Some canonical records of one partition of a snapshot.",
            "payload": {"description": "The bytes of an Arrow IPC stream, compressed with zstd."},
        }
    return message | {
        "summary": _said_of(EVENTS[name]),
        "payload": {"$ref": f"./schemas/events/{name}.json"},
    }


# --- requests -------------------------------------------------------------------------------------------------------


def _add_requests(channels: Node, operations: Node, messages: Node, bodies: list[type[Document]]) -> None:
    """The subjects on which people ask, who answers, and with what."""
    channels[_REPLIES] = {
        "address": None,
        "description": "The asker's own inbox; NATS names it in the request.",
        "messages": {},
    }
    for subject, service, body, answers in _asked():
        channel = subject
        channels[channel] = {
            "address": subject,
            "description": f"Answered by the {service}; for people with the role {_roles(subject)}.",
            "messages": {body.__name__: {"$ref": f"#/components/messages/{body.__name__}"}},
        }
        for kind in (body, *answers):
            messages[kind.__name__] = _plain_message(kind, is_request=kind is body)
            bodies.append(kind)
        channels[_REPLIES]["messages"] |= {
            kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in answers
        }
        operations[f"{service}.receive.{channel}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": f"The {service} answers this.",
            "tags": [{"name": service}],
            "bindings": {"nats": {"queue": service}},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{body.__name__}"}],
            "reply": {
                "channel": {"$ref": f"#/channels/{_REPLIES}"},
                "messages": [{"$ref": f"#/channels/{_REPLIES}/messages/{kind.__name__}"} for kind in answers],
            },
        }


def _asked() -> list[tuple[str, str, type[Document], tuple[type[Document], ...]]]:
    """Subject, service, body and possible answers of every request."""
    commands: list[tuple[str, str, type[Document], tuple[type[Document], ...]]] = [
        (route.subject, service, route.body, (Reply,)) for service, routes in COMMANDS.items() for route in routes
    ]
    return [
        *commands,
        ("aether.connection.credentials", "extractor", CredentialQuery, (CredentialList, QueryRefused)),
        ("aether.schedule.list", "extractor", ScheduleQuery, (ScheduleList, QueryRefused)),
        *((subject, "auditor", asked, (said, QueryRefused)) for subject, (asked, said) in QUESTIONS.items()),
        *(
            (subject, service, asked, (said, QueryRefused))
            for subject, (service, asked, said) in SERVICE_QUESTIONS.items()
        ),
    ]


def _roles(subject: str) -> str:
    return " or ".join(next(row.roles for row in REQUESTS if matches(row.subject, subject)))


def _plain_message(kind: type[Document], *, is_request: bool) -> Node:
    message: Node = {
        "name": kind.__name__,
        "summary": _said_of(kind),
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }
    return message | ({"headers": {"$ref": "#/components/schemas/RequestHeaders"}} if is_request else {})


def _said_of(kind: type[Document]) -> str:
    return " ".join((inspect.getdoc(kind) or kind.__name__).split())


# --- schemas --------------------------------------------------------------------------------------------------------


def _schemas(bodies: Iterable[type[Document]]) -> Node:
    models: list[tuple[type[Document], Literal["validation"]]] = [
        (kind, "validation") for kind in dict.fromkeys(bodies)
    ]
    _, made = models_json_schema(models, ref_template="#/components/schemas/{model}")
    text = {"type": "string"}
    trace = {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"}
    own: Node = {
        "CloudEventHeaders": {
            "type": "object",
            "description": "CloudEvents 1.0 in binary mode, with the trace of the run and the id of the message.",
            "properties": {
                "ce-specversion": {"const": SPEC_VERSION},
                "ce-id": text | {"description": "Equal to Nats-Msg-Id: a message stored once has one id."},
                "ce-type": text,
                "ce-source": text | {"description": "The program that published it.", "pattern": "^/services/[a-z]+$"},
                "ce-subject": text | {"description": "What it is about: a run, or a target or stream."},
                "ce-time": text | {"format": "date-time"},
                "Content-Type": text,
                "Nats-Msg-Id": text,
                "traceparent": trace | {"description": "W3C Trace Context; one trace for a whole run."},
            },
            "required": [
                *("ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time"),
                *("Content-Type", "Nats-Msg-Id"),
            ],
        },
        "RequestHeaders": {
            "type": "object",
            "description": "Nothing is needed: the server writes who asks into the request.",
            "properties": {"traceparent": trace | {"description": "The run continues this trace."}},
        },
    }
    return {**own, **made["$defs"]}


def _channel(row: Publication) -> str:
    """A channel's key: the literal tokens of its address."""
    return re.sub(r"\.?\{\w+\}", "", row.address)


if __name__ == "__main__":
    sys.stdout.write(document_text())
