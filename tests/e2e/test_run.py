"""One run, from a request of any NATS client to a sealed audit."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.problem import CommandFailed
from shared.bus.publishing import Outgoing, publish_one
from shared.events.queries import DeadLetterView
from simulators.district.__main__ import make
from tests.support.postgres import start_postgres
from tests.support.road import District, Road, house

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_plan_equals_the_truth_of_the_generator_and_is_applied_once(district: District, tmp_path: Path) -> None:
    async with house(district, tmp_path / "house", extractors=2, differs=2) as road:
        # A client that knows nothing of us asks for a dry run.
        async with road.plain_client("operator") as client:
            body = json.dumps({"connector": "titanhst-staff", "mode": "dry-run"}).encode()
            reply = json.loads((await client.request("aether.run.request", body, timeout=5)).data)
        assert reply["is_accepted"] is True
        dry = await road.until_status(reply["run"], "planned")
        assert dry.run is not None and dry.run.plan is not None
        assert dry.run.requester == "operator"
        assert dry.run.plan.changes_by_class == district.truth["counts"]
        assert await road.effects() == {}

        run, waiting = await road.planned()
        approved = await road.approve(waiting)
        assert approved.is_accepted and approved.status == "approved"
        done = await road.until_status(run, "succeeded")
        assert done.run is not None and done.run.counts is not None
        assert done.run.counts.planned == done.run.counts.applied == sum(district.truth["counts"].values())
        await road.assert_everything_once()

        again = await road.request("apply")
        await road.until_status(again, "no_changes")
        for one in (reply["run"], run, again):
            await road.until_sealed(one)
        report = await road.verify()
        assert report.is_valid, report.first_failure
        assert report.runs_sealed == 3
        await road.assert_everything_once()


async def test_requester_cannot_approve_the_own_run(road: Road) -> None:
    run = await road.request("apply", profile="both")
    waiting = await road.until_status(run, "awaiting_approval")
    with pytest.raises(CommandFailed) as refused:
        await road.approve(waiting, approver="both")
    assert refused.value.code == "APV_OWN_REQUEST"
    still = await road.until_status(run, "awaiting_approval")
    assert still.run is not None and still.run.approvers == ()
    assert await road.effects() == {}
    refusals: list[str] = []
    async with asyncio.timeout(20):
        while not refusals:  # the audit log follows the bus by a moment
            refusals = [one["actor"] for one in await road.entries() if one["type"] == "aether.command.refused.v1"]
    assert refusals == ["both"]


async def test_second_run_of_a_connector_is_refused_while_one_is_under_way(road: Road) -> None:
    await road.vendor("POST", "faults", {"kind": "slow", "method": "GET", "times": 1, "seconds": 3})
    first = await road.request("dry-run")
    async with road.plain_client("operator") as client:
        body = json.dumps({"connector": "titanhst-staff", "mode": "apply"}).encode()
        reply = json.loads((await client.request("aether.run.request", body, timeout=5)).data)
    assert reply["is_accepted"] is False
    assert reply["refusal"]["code"] == "APV_OVERLAP" and first in reply["refusal"]["text"]
    await road.until_status(first, "planned")


async def test_cancelled_run_ends_and_a_newer_run_supersedes_a_waiting_one(road: Road) -> None:
    first, _ = await road.planned()
    second, _ = await road.planned()
    superseded = await road.until_status(first, "superseded")
    assert superseded.run is not None and superseded.run.failure is not None
    assert second in superseded.run.failure.text
    async with road.plain_client("operator") as client:
        body = json.dumps({"run": second, "reason": "changed our minds"}).encode()
        reply = json.loads((await client.request("aether.run.cancel", body, timeout=5)).data)
    assert reply["is_accepted"] is True and reply["status"] == "cancelled"
    await road.until_status(second, "cancelled")
    assert await road.effects() == {}


async def test_run_over_sources_in_postgresql_finds_the_same_truth(district: District, tmp_path: Path) -> None:
    with start_postgres(tmp_path) as postgres:
        urls = {name: postgres.create_database(name) for name in ("aeries", "hr")}
        make(out=tmp_path / "made", seed=7, staff=2400, aeries_url=urls["aeries"], hr_url=urls["hr"])
        async with house(district, tmp_path / "house") as road:
            connections = road.stack.layout.connections
            text = connections.read_text(encoding="utf-8")
            for name, url in urls.items():
                text = text.replace(f"sqlite:///{road.stack.layout.district / name}.db", url)
            assert text.count("postgresql+psycopg://") == 2
            connections.write_text(text, encoding="utf-8")
            await road.stack.restart("extractor")
            run = await road.request("dry-run")
            answer = await road.until_status(run, "planned")
        assert answer.run is not None and answer.run.plan is not None
        assert answer.run.plan.changes_by_class == district.truth["counts"]
        rows = {one.rows["person"] for one in answer.snapshots if one.side == "source"}
        assert rows == {district.truth["rows"]["hr_person"]}


async def test_every_service_tells_that_it_lives_is_ready_and_what_it_did(road: Road) -> None:
    run = await road.request("dry-run")
    await road.until_status(run, "planned")
    async with httpx.AsyncClient() as client:
        for service in ("extractor", "differ", "applier", "auditor"):
            base = road.stack.admin_url(service)
            assert (await client.get(f"{base}/livez")).status_code == 200
            assert (await client.get(f"{base}/readyz")).status_code == 200
            assert (await client.get(f"{base}/elsewhere")).status_code == 404
            text = (await client.get(f"{base}/metrics")).text
            families = list(text_string_to_metric_families(text))
            assert any(family.name.startswith(("aether_", "faststream_")) for family in families), service
            labels = {value for family in families for one in family.samples for value in one.labels.values()}
            # No series a run: a label that holds a run id would grow without end.
            assert not {value for value in labels if run in value}, service


async def test_no_log_and_no_audit_entry_holds_a_value_of_a_person(road: Road) -> None:
    run, waiting = await road.planned()
    await road.vendor("POST", "faults", {"kind": "timeout_after_effect", "method": "POST", "times": 2, "seconds": 1})
    await road.approve(waiting)
    await road.until_status(run, "succeeded")
    await road.until_sealed(run)
    state = await road.vendor("GET", "state")
    values = {
        one[name]
        for one in state["contacts"]
        for name in ("email", "mobilePhone", "lastName", "externalId")
        # A short or a plain word could stand in any line.
        if one[name] and (len(one[name]) > 8 or name in {"email", "mobilePhone"})
    }
    assert len(values) > 3000
    logs = {path.name: path.read_text(encoding="utf-8") for path in road.stack.layout.logs.glob("*.log")}
    assert {"extractor.log", "differ.log", "applier.log", "auditor.log"} <= set(logs)
    logs["nats-server.log"] = (road.stack.layout.bus / "nats-server.log").read_text(encoding="utf-8")
    logs["audit"] = json.dumps(await road.entries())
    for name, text in logs.items():
        if name.startswith(("simulators.", "titanhst")):
            continue
        words = set(re.split(r"[\s\"',:;=()\[\]{}/?&]+", text))
        assert not words & values, name


async def test_garbage_on_the_bus_ends_among_the_dead_letters_and_the_house_goes_on(road: Road) -> None:
    run_before = await road.request("dry-run")
    await road.until_status(run_before, "planned")
    async with road.bus_as("extractor") as js:
        for number, body in enumerate((b"\x00\xff", b"{}", b'{"run": 3}')):
            headers = {"ce-type": "aether.diff.partition.v1"} if number else {}
            await publish_one(
                js,
                Outgoing(
                    subject=f"cmd.diff.garbage.{number}", body=body, headers=headers, message_id=f"garbage-{number}"
                ),
            )
    letters: tuple[DeadLetterView, ...] = ()
    async with road.stack.client("viewer") as viewer:
        async with asyncio.timeout(20):
            while len(letters) < 3:
                letters = (await viewer.health()).dead_letters
                await asyncio.sleep(0.1)
    assert {letter.code for letter in letters} == {"SYS_UNDECODABLE"}
    assert {letter.service for letter in letters} == {"differ"}
    assert any("partition" in letter.reason for letter in letters)
    doctor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "--data", str(road.stack.layout.data), "doctor", "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    shown, _ = await doctor.communicate()
    assert b"SYS_UNDECODABLE" in shown
    run = await road.request("dry-run")
    await road.until_status(run, "planned")
