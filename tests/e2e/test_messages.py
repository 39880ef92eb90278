"""What one real run leaves on the bus: well wrapped, by whom the table says, in one trace."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from shared.bus.reading import read_all
from shared.bus.topology import matches
from shared.clock import from_text
from shared.events.publications import PUBLISHES
from shared.events.registry import EVENTS
from shared.events.schemas import released_schemas
from shared.events.stored import Stored
from shared.records.subjects import BATCH_CONTENT_TYPE, BATCH_TYPE
from tests.support.road import District, house

STREAMS = ("CORE", "LEDGER", "PLAN", "SNAP")
SOURCE = "/services/"
NOT_IN_A_CLEAN_RUN = {
    "aether.run.cancelled.v1",
    "aether.run.resumed.v1",
    "aether.apply.refused.v1",
    "aether.apply.paused.v1",
    "aether.audit.mismatch.v1",
    "aether.audit.messages_lost.v1",
    "aether.alarm.raised.v1",
    "aether.audit.change_revealed.v1",
    "aether.console.acted.v1",
    "aether.connection.health.v1",
    "aether.connector.declared.v1",
    "aether.run.expired.v1",
    "aether.run.pause_requested.v1",
    "aether.run.retry_requested.v1",
    "aether.delta.declared.v1",
    "aether.delta.withdrawn.v1",
    "aether.connector.promoted.v1",
    "aether.connector.promotions.v1",
    "aether.notice.sent.v1",
    "aether.notice.taken_over.v1",
    "aether.schedule.state.v1",
    "aether.schedule.fired.v1",
    "aether.schedule.skipped.v1",
    "aether.schedule.paused.v1",
    "aether.schedule.resumed.v1",
}
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_CHECKS = {name: Draft202012Validator(schema) for name, schema in released_schemas().items()}


def fault_of(one: Stored) -> str | None:
    """What is wrong with the wrapping of a message, or None."""
    headers = one.headers
    kind = headers.get("ce-type", "")
    content_type = BATCH_CONTENT_TYPE if kind == BATCH_TYPE else "application/json"
    wanted = {"ce-specversion": "1.0", "Content-Type": content_type, "Nats-Msg-Id": headers.get("ce-id", "")}
    for name, value in wanted.items():
        if not value or headers.get(name) != value:
            return f"{name} is {headers.get(name)!r}, wanted {value!r}"
    for name in ("ce-subject", "traceparent", "ce-time"):
        if not headers.get(name):
            return f"{name} is missing"
    from_text(headers["ce-time"])
    rows = [row for row in PUBLISHES if row.event_type == kind and matches(row.pattern, one.subject)]
    if not any(headers.get("ce-source", "").removeprefix(SOURCE) in row.services for row in rows):
        return f"{kind} on {one.subject} by {headers.get('ce-source')}: not in the table of publications"
    if kind in EVENTS and not _CHECKS[kind].is_valid(json.loads(one.data)):
        return f"{kind} on {one.subject} does not fit its released schema"
    return None


@pytest.mark.slow
async def test_every_message_of_a_run_is_wrapped_published_and_traced_as_promised(
    district: District, tmp_path: Path
) -> None:
    async with house(district, tmp_path / "house") as road:
        async with road.plain_client("operator") as client:
            body = json.dumps({"connector": "titanhst-staff", "mode": "dry-run"}).encode()
            answer = await client.request("aether.run.request", body, timeout=5, headers={"traceparent": GIVEN})
            dry = json.loads(answer.data)["run"]
            await road.until_status(dry, "planned")
            # A command that is refused, and another trace.
            await client.request("aether.run.cancel", json.dumps({"run": dry}).encode(), timeout=5)
        run, waiting = await road.planned()
        await road.approve(waiting)
        await road.until_status(run, "succeeded")
        await road.until_sealed(dry)
        await road.until_sealed(run)
        messages: list[Stored] = []
        async with road.bus_as("differ") as js:
            for stream in STREAMS:
                messages += [one async for one in read_all(js, stream, ">")]

    assert [fault for one in messages if (fault := fault_of(one)) is not None] == []

    assert {one.headers["ce-type"] for one in messages} == {*EVENTS, BATCH_TYPE} - NOT_IN_A_CLEAN_RUN

    traces: dict[str, set[str]] = defaultdict(set)
    for one in messages:
        if one.headers["ce-type"] != "aether.command.refused.v1":
            traces[one.headers["ce-subject"]].add(one.headers["traceparent"].split("-")[1])
    # The dry run goes on in the trace of its request; the other, asked and approved by people without one, has its own.
    assert traces[dry] == {GIVEN.split("-")[1]}
    assert len(traces[run]) == 1
    assert traces[run] != traces[dry]

    # And the check itself sees what is wrong.
    sound = next(one for one in messages if one.headers["ce-type"] == "aether.plan.drafted.v1")
    for name in ("ce-specversion", "ce-id", "ce-type", "ce-source", "ce-subject", "ce-time", "Content-Type"):
        broken = {key: value for key, value in sound.headers.items() if key != name}
        assert fault_of(Stored(sound.subject, sound.seq, sound.time, broken, sound.data)) is not None, name
    assert fault_of(Stored("evt.applier.plan_drafted.x", 1, sound.time, sound.headers, sound.data)) is not None
    assert fault_of(Stored(sound.subject, 1, sound.time, sound.headers, b'{"run": "r"}')) is not None
