"""One run is one trace, as a collector sees it: over all services, the bus and the vendor, with nobody's name in it."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from shared.bus.topology import CONSUMERS, REQUESTS, subject_shape
from shared.telemetry.spans import ALLOWED, EVENTS, STATUS_EVENT
from tests.support.road import CONNECTOR, District, Road, house
from tests.support.traces import Collector, ToldSpan, collecting

SERVICES = ("extractor", "differ", "applier", "auditor")
PHASES = {"read", "normalise", "compare", "draft", "remember", "apply wave", "verify", "seal"}
CLIENT, PRODUCER, CONSUMER = 3, 4, 5
ROOT = Path(__file__).resolve().parents[2]
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "SELECT"}


async def until(is_there: Callable[[], bool], *, seconds_max: float = 30.0) -> None:
    async with asyncio.timeout(seconds_max):
        while not is_there():
            await asyncio.sleep(0.1)


async def asked_at_the_command_line(road: Road, collector: Collector) -> str:
    """Ask for a run as a person would, with a collector named in the environment; the run's id."""
    asking = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "run", CONNECTOR, "--apply", "--no-watch", "--json",
        "--data", str(road.stack.layout.data), "--profile", "operator",
        cwd=ROOT, env={"AETHER_OTLP_ENDPOINT": collector.url, "PATH": ""}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await asking.communicate()
    found: str = json.loads(said)["run"]
    return found


def personal_values(road: Road) -> set[bytes]:
    """Names, mails and telephones of the sample district, as its HR database holds them."""
    found: set[bytes] = set()
    with sqlite3.connect(road.stack.layout.district / "hr.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = database.execute(f'SELECT * FROM "{table}"')
            wanted = [
                number
                for number, column in enumerate(cursor.description)
                if re.search("name|mail|phone|mobile", column[0], re.IGNORECASE)
            ]
            for row in cursor.fetchmany(3_000):
                found |= {str(row[number]).encode() for number in wanted if len(str(row[number] or "")) >= 6}
    return found


def shape_names() -> set[str]:
    shapes = {
        subject_shape(pattern.replace("*", "x").replace(">", "x")) for row in CONSUMERS for pattern in row.filters
    }
    return shapes | {subject_shape(row.subject) for row in REQUESTS}


def faults_of(spans: list[ToldSpan]) -> list[str]:
    """What is wrong with the spans of one trace."""
    known = {span.span for span in spans}
    faults = [
        f"{span.service} {span.name}: nobody told of its parent" for span in spans if span.parent not in {"", *known}
    ]
    roots = [span for span in spans if not span.parent]
    if len(roots) != 1:
        faults.append(f"{len(roots)} spans without a parent")
    for span in spans:
        if not set(span.attributes) <= ALLOWED or span.status_text:
            faults.append(f"{span.name}: {set(span.attributes) - ALLOWED} {span.status_text}")
        for name, attributes in span.events:
            if name not in EVENTS or not set(attributes) <= ALLOWED:
                faults.append(f"{span.name}: event {name} {attributes}")
        if span.ended_ns < span.began_ns:
            faults.append(f"{span.name}: ends before it begins")
    return faults


def bounded(name: str) -> bool:
    """Whether a name of a span is one of few."""
    act, _, rest = name.partition(" ")
    return name in PHASES | METHODS | {"apply canary", "settle unknown", "publish"} or (
        act in {"process", "publish"} and re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", rest) is not None
    )


@pytest.mark.slow
async def test_a_run_is_one_trace_over_services_bus_and_vendor_and_needs_no_collector(
    district: District, tmp_path: Path
) -> None:
    with collecting() as collector:
        told = {"AETHER_OTLP_ENDPOINT": collector.url, "AETHER_OTLP_HEADERS": f"file:{tmp_path / 'headers'}"}
        (tmp_path / "headers").write_text("x-district=synthetic-collector-key\n")
        async with house(district, tmp_path / "house", settings=dict.fromkeys(SERVICES, told)) as road:
            run = await asked_at_the_command_line(road, collector)
            await road.approve(await road.until_status(run, "awaiting_approval"))
            await road.until_status(run, "succeeded")
            await road.until_remembered(run)
            view = (await road.until_sealed(run)).run
            assert view is not None and view.trace is not None
            trace = view.trace
            await until(lambda: {span.name for span in collector.of_trace(trace)} >= PHASES)
            await asyncio.sleep(2.5)  # the last batch of every program: spans are sent every two seconds
            spans = collector.of_trace(trace)
            figures = await exemplars(road)

            # The collector refuses, then hangs: the next runs do not notice.
            for mood in ("refuses", "hangs"):
                collector.mood, met = mood, collector.met
                dry = await road.request("dry-run")
                await road.until_status(dry, "no_changes")
                await until(lambda met=met: collector.met > met)  # type: ignore[misc]  # mypy infers no type for it
            # Whoever ends waits for its last spans a little; that this has an end is shown elsewhere.
            collector.mood = "takes"
            collector.released.set()
        logs = "".join(path.read_text() for path in road.stack.layout.logs.glob("*.log"))

    # One trace: everybody who had to do with the run, each span below another.
    assert faults_of(spans) == []
    assert {span.service for span in spans} == {*SERVICES, "cli"}
    [root] = [span for span in spans if not span.parent]
    assert (root.service, root.name, root.kind) == ("cli", "publish aether.run.request", PRODUCER)
    assert all(bounded(span.name) for span in spans), sorted({span.name for span in spans})
    by_id = {span.span: span for span in spans}

    # The road can be read from it: who handles stands below who published, phases below who handles.
    for name, service in (("read", "extractor"), ("compare", "differ"), ("draft", "differ"), ("apply wave", "applier")):
        phases = [span for span in spans if span.name == name]
        assert phases and all(one.service == by_id[one.parent].service == service for one in phases), name
        for one in phases:
            handler = by_id[one.parent]
            assert handler.kind == CONSUMER and handler.name.startswith("process cmd."), handler
            assert by_id[handler.parent].kind == PRODUCER
            assert handler.attributes["messaging.system"] == "nats"
            assert handler.attributes["messaging.operation.type"] == "process"
            assert handler.attributes["messaging.consumer.group.name"] == service
            assert handler.attributes["aether.run"] == run
    # The vendor was asked, and written to, within the waves.
    writes = [span for span in spans if by_id.get(span.parent, root).name == "apply wave" and span.kind == CLIENT]
    assert {span.attributes["http.request.method"] for span in writes} >= {"GET", "POST"}
    assert {span.attributes["server.address"] for span in writes} == {"127.0.0.1"}
    assert all(span.attributes["http.response.status_code"] >= 200 for span in writes)
    assert any(span.attributes.get("db.system.name") == "sqlite" for span in spans if span.name == "SELECT")
    # Through which states the run came, the wait for a person as well; the person's own trace is a link.
    states = [attributes["aether.status"] for span in spans for name, attributes in span.events if name == STATUS_EVENT]
    assert {"queued", "awaiting_approval", "approved", "applying", "succeeded"} <= set(states)
    approved = [span for span in spans if span.links]
    assert approved and {link for span in approved for link in span.links}.isdisjoint({trace})

    # Nobody is named, and no secret: in any byte that was sent.
    sent = b"".join(collector.bodies)
    people = personal_values(road)
    assert len(people) > 1_000
    assert [value for value in people if value in sent] == []
    secrets = [road.stack.layout.read_token, road.stack.layout.write_token]
    assert not any(path.read_bytes().strip() in sent for path in secrets)
    texts = [value for span in collector.spans() for value in span.attributes.values() if isinstance(value, str)]
    assert texts and not [text for text in texts if re.search(r"[?/@ ]", text)]
    assert "synthetic-collector-key" in {headers.get("x-district") for headers in collector.headers}
    assert "synthetic-collector-key" not in logs

    # Exemplars lead to it.
    assert trace in figures["aether_handler_seconds"] and trace in figures["aether_system_request_seconds"]
    # What could not be sent was counted, and not told with every batch.
    told_lost = Counter(json.loads(line)["service"] for line in logs.splitlines() if "traces_not_exported" in line)
    assert told_lost and max(told_lost.values()) <= 3, told_lost


async def exemplars(road: Road) -> dict[str, set[str]]:
    """The traces that the exemplars of each figure name, over all services."""
    found: dict[str, set[str]] = {}
    async with httpx.AsyncClient(headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as client:
        for name in SERVICES:
            answer = await client.get(f"{road.stack.admin_url(name)}/metrics")
            assert answer.headers["content-type"].startswith("application/openmetrics-text")
            for family in text_string_to_metric_families(answer.text):  # type: ignore[no-untyped-call]  # has no types
                named = {sample.exemplar.labels["trace_id"] for sample in family.samples if sample.exemplar}
                found.setdefault(family.name, set()).update(named)
    return found
