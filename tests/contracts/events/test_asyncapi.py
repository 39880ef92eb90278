"""The published description of the house: current, sound in itself, and true to the table of the bus."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from deploy.documents.asyncapi import FILE, document, document_text
from services.auditor import queries as auditor_queries
from shared.bus.topology import REQUESTS, SERVICES, matches, stream_of
from shared.events.queries import QUESTIONS
from shared.events.registry import EVENTS

Node = dict[str, Any]
DOCUMENT = document()
KEY = re.compile(r"[A-Za-z0-9._-]+")


def refs_in(part: Any, at: str = "#") -> Iterator[tuple[str, str]]:
    """Every reference and where it stands."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield at, part["$ref"]
        for name, value in part.items():
            yield from refs_in(value, f"{at}/{name}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from refs_in(value, f"{at}/{number}")


def resolved(made: Node, ref: str) -> Any:
    """What a reference names; LookupError or OSError when it names nothing."""
    file, _, pointer = ref.partition("#")
    part: Any = made if not file else json.loads((FILE.parent / file).read_text(encoding="utf-8"))
    for name in pointer.split("/")[1:]:
        part = part[name]
    return part


def faults_of(made: Node) -> list[str]:
    """What the specification and the table of the bus do not allow."""
    faults = []
    for at, ref in refs_in(made):
        try:
            resolved(made, ref)
        except (LookupError, OSError):
            faults.append(f"{at}: {ref} leads nowhere")
    for name, channel in made["channels"].items():
        if not KEY.fullmatch(name):
            faults.append(f"channel {name}: not a key")
        address = channel["address"]
        if address is None:
            continue
        if re.findall(r"\{(\w+)\}", address) != list(channel.get("parameters", {})):
            faults.append(f"channel {name}: its parameters are not those of {address}")
        pattern = re.sub(r"\{\w+\}", "*", address)
        if not any(matches(row.subject, pattern) for row in REQUESTS):
            try:
                stream = stream_of(pattern)
            except ValueError:
                faults.append(f"channel {name}: {pattern} is neither kept by a stream nor a request")
            else:
                if channel["x-stream"] != stream.name:
                    faults.append(f"channel {name}: kept by {stream.name}")
    for name, operation in made["operations"].items():
        if not KEY.fullmatch(name) or operation["action"] not in ("send", "receive") or not operation["messages"]:
            faults.append(f"operation {name}: key, action or messages")
        for part in (operation, *([operation["reply"]] if "reply" in operation else [])):
            for message in part["messages"]:
                if not message["$ref"].startswith(f"{part['channel']['$ref']}/messages/"):
                    faults.append(f"operation {name}: {message['$ref']} is no message of its channel")
    return faults


def test_file_is_what_the_code_prints() -> None:
    assert FILE.read_text(encoding="utf-8") == document_text(), (
        "run `python -m deploy.documents.asyncapi > docs/asyncapi.yaml`"
    )


def test_document_is_sound() -> None:
    assert faults_of(DOCUMENT) == []


def test_file_reads_back_as_the_document_and_fits_the_models_of_the_specification() -> None:
    read = YAML(typ="safe", pure=True).load(FILE.read_text(encoding="utf-8"))
    assert read == DOCUMENT
    # A second opinion on the shape; its model of a server asks for more than the specification does.
    assert ApplicationSchema.model_validate(read | {"servers": None}).asyncapi == "3.0.0"


def test_schemas_are_schemas() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def set_in(*path: str, value: Any) -> Callable[[Node], None]:
    def edit(made: Node) -> None:
        part = made
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            set_in("channels", "run.state", "address", value="walk.{run}.state"),
            "neither kept by a stream nor a request",
        ),
        (set_in("channels", "run.state", "x-stream", value="PLAN"), "kept by CORE"),
        (set_in("channels", "run.state", "parameters", value={}), "its parameters are not those"),
        (set_in("channels", "run state", value={"address": None, "messages": {}}), "not a key"),
        (
            set_in("components", "messages", "aether.run.state.v1", "payload", "$ref", value="./schemas/events/x.json"),
            "leads nowhere",
        ),
        (
            set_in("operations", "differ.send.run.state", "channel", "$ref", value="#/channels/cmd.plan"),
            "is no message of its channel",
        ),
        (set_in("operations", "differ.send.run.state", "action", value="publish"), "key, action or messages"),
    ],
)
def test_unsound_document_is_found_out(edit: Callable[[Node], None], said: str) -> None:
    made = copy.deepcopy(DOCUMENT)
    edit(made)
    assert said in "\n".join(faults_of(made))


def test_every_event_has_its_message_and_somebody_sends_it() -> None:
    sent = {
        message["$ref"].rpartition("/")[2]
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == "send"
        for message in operation["messages"]
    }
    assert set(EVENTS) <= set(DOCUMENT["components"]["messages"])
    assert set(EVENTS) <= sent


def test_every_channel_is_received_by_somebody() -> None:
    received = {one["channel"]["$ref"] for one in DOCUMENT["operations"].values() if one["action"] == "receive"}
    assert {f"#/channels/{name}" for name in DOCUMENT["channels"]} - received == {"#/channels/replies"}


def test_service_sends_only_what_its_user_may() -> None:
    may = {row.name: row.publishes for row in SERVICES}
    for name, operation in DOCUMENT["operations"].items():
        if operation["action"] == "send":
            address = resolved(DOCUMENT, operation["channel"]["$ref"])["address"]
            service = name.split(".")[0]
            assert any(matches(one, re.sub(r"\{\w+\}", "*", address)) for one in may[service]), name


def test_every_request_of_the_table_is_described_and_has_a_reply() -> None:
    asked = {
        resolved(DOCUMENT, one["channel"]["$ref"])["address"]: one
        for one in DOCUMENT["operations"].values()
        if "reply" in one
    }
    for row in REQUESTS:
        assert any(matches(row.subject, subject) for subject in asked), row.subject
    assert all(one["reply"]["messages"] and one["bindings"]["nats"]["queue"] for one in asked.values())


def test_questions_are_those_that_the_auditor_answers() -> None:
    answered = {f"{auditor_queries.PREFIX}{name}": asked for name, (asked, _) in auditor_queries._QUESTIONS.items()}
    assert answered == {subject: asked for subject, (asked, _) in QUESTIONS.items()}
