"""Replays: a dry-run over the rows of an earlier run, under the release of today or of a version; and quarantine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.extractor.questions import quarantine_items
from shared.errors import NeedsPerson, StopRun
from shared.events.commands import RequestRun
from shared.events.facts import RunRequested, SnapshotRead
from shared.events.queries import QuarantineQuery
from shared.plan.document import Plan
from tests.integration.handlers.small_house import SmallHouse
from tests.unit.plan.plan_builder import ENTITY, RUN


def definition(house: SmallHouse) -> Path:
    return house.folder / house.connector / "connector.yaml"


def edit(house: SmallHouse, *pairs: tuple[str, str]) -> None:
    text = definition(house).read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    definition(house).write_text(text, encoding="utf-8")


NEW_VERSION = ("version: 1.0.0", "version: 1.1.0")


async def replay_of(house: SmallHouse, run: str, **more: str) -> Plan:
    await house.to_drafted("dry-run", replay_of=run, **more)
    return await house.plan()


async def fact(house: SmallHouse, side: str) -> SnapshotRead:
    return SnapshotRead.model_validate_json(
        (await house.command(f"evt.extractor.snapshot_read.{house.run}.{side}.{ENTITY}")).data
    )


async def test_replay_under_the_same_release_gives_the_same_plan_without_asking_any_system(house: SmallHouse) -> None:
    await house.to_drafted("dry-run")
    first, original = house.run, await house.plan()
    house.people = []
    house.target.records = {}
    again = await replay_of(house, first)
    assert again.content_digest == original.content_digest
    assert again.header.certificates == original.header.certificates
    assert again.header.target_read_at == original.header.target_read_at
    state = await house.state()
    assert (state.replay_of, state.mode, state.status) == (first, "dry-run", "planned")
    asked = RunRequested.model_validate_json((await house.command(f"evt.extractor.run_requested.{house.run}")).data)
    assert asked.replay_of == first


async def test_replay_of_a_replay_takes_the_rows_from_the_run_that_read_them(house: SmallHouse) -> None:
    await house.to_drafted("dry-run")
    first = house.run
    await replay_of(house, first)
    await replay_of(house, house.run)
    assert (await house.state()).replay_of == first
    assert (await fact(house, "source")).kept == ()


async def test_replay_teaches_the_ledger_nothing(house: SmallHouse) -> None:
    await house.to_drafted("dry-run")
    first = house.run
    before = (await house.picture()).written
    differ = await house.replica("differ")
    counted = await differ.context.ledger.history(house.scope, run=RUN, now=differ.context.clock.now())
    await replay_of(house, first)
    assert (await house.picture()).written == before
    after = await differ.context.ledger.history(house.scope, run=RUN, now=differ.context.clock.now())
    assert after.certified_runs == counted.certified_runs
    assert not await differ.context.ledger.knows_draft(house.run)


async def test_corrected_contract_frees_what_was_quarantined(house: SmallHouse) -> None:
    edit(
        house,
        ("role: {from: [person.role], is_role: true}", "role: {from: [person.role], required: true}"),
        NEW_VERSION,
    )
    house.people[3]["role"] = None
    house.people[4]["role"] = " "
    await house.to_drafted("dry-run")
    first = house.run
    extractor = await house.replica("extractor")
    answer = await quarantine_items(QuarantineQuery(run=first), extractor.context)
    assert [(one.key, one.field, one.code, one.value_class) for one in answer.items] == [
        ("E4", "role", "NRM_MISSING_REQUIRED", "blank"),
        ("E5", "role", "NRM_MISSING_REQUIRED", "blank"),
    ]
    assert (answer.total, answer.by_code) == (2, {"NRM_MISSING_REQUIRED": 2})
    one = await quarantine_items(QuarantineQuery(run=first, offset=1, limit=1), extractor.context)
    assert [item.key for item in one.items] == ["E5"]
    edit(house, ("from: [person.role], required: true", "from: [person.role]"), ("1.1.0", "1.2.0"))
    await replay_of(house, first)
    freed = await quarantine_items(QuarantineQuery(run=house.run), extractor.context)
    assert (freed.total, freed.items) == (0, ())


async def test_published_release_is_replayed_although_the_folder_has_gone_on(house: SmallHouse) -> None:
    await house.to_drafted("dry-run")
    first, original = house.run, await house.plan()
    stored = definition(house).parent / "releases" / "1.0.0.json"
    release = stored.read_text(encoding="utf-8")
    edit(house, ("email: {from: [person.email]", "email: {from: [person.email], steps: [upper]"), NEW_VERSION)
    draft = await replay_of(house, first)
    assert draft.content_digest != original.content_digest
    stored.write_text(release, encoding="utf-8")  # the house keeps the newest alone
    body = RequestRun(connector=house.connector, mode="dry-run", version="1.0.0", replay_of=first)
    reply = await (await house.replica("extractor")).ask("aether.run.request", body, who="olga")
    assert reply.run is not None
    house.run = reply.run
    await house.read_sides()
    await house.diff()
    await house.draft()
    old = await house.plan()
    assert old.content_digest == original.content_digest
    assert ((await house.state()).connector_version, old.header.connector_version) == ("1.0.0", "1.0.0")


async def test_version_that_is_not_published_is_refused(house: SmallHouse) -> None:
    edit(house, NEW_VERSION)
    extractor = await house.replica("extractor")
    for version, code in (("1.1.0", "CTR_NOT_PUBLISHED"), ("7.0.0", "CTR_UNKNOWN")):
        body = RequestRun(connector=house.connector, mode="dry-run", version=version)
        reply = await extractor.ask("aether.run.request", body, who="olga")
        assert reply.refusal is not None
        assert reply.refusal.code == code


async def test_replay_is_never_applied_nor_made_of_a_foreign_or_unread_run(house: SmallHouse) -> None:
    assert (await house.request("dry-run")).is_accepted
    unread = house.run
    await house.cancel()
    reply = await house.request("dry-run", replay_of=unread)
    assert reply.refusal is not None
    assert reply.refusal.code == "APV_WRONG_STATE"
    for run, mode, code in ((unread, "apply", "APV_MALFORMED"), (RUN, "dry-run", "APV_UNKNOWN_RUN")):
        reply = await house.request(mode, replay_of=run)
        assert reply.refusal is not None
        assert reply.refusal.code == code
    reply = await house.request("dry-run", replay_of="not a run")
    assert reply.refusal is not None
    assert reply.refusal.code == "APV_UNKNOWN_RUN"


async def test_rows_are_kept_of_the_columns_that_the_contract_uses_and_no_other(house: SmallHouse) -> None:
    edit(house, ("      role: {from: [person.role], is_role: true}\n", ""), NEW_VERSION)
    await house.to_drafted("dry-run")
    (kept,) = (await fact(house, "source")).kept
    assert set(kept.columns) == {"id", "first", "email"}
    assert (kept.role, kept.name, kept.manifest.rows) == ("source", "person", len(house.people))
    first = house.run
    edit(house, ("      active:", "      role: {from: [person.role]}\n      active:"), ("1.1.0", "1.2.0"))
    assert (await house.request("dry-run", replay_of=first)).is_accepted
    with pytest.raises(StopRun, match="kept no column role of"):
        await house.read_sides()
    state = await house.state()
    assert state.failure is not None
    assert (state.status, state.failure.code) == ("failed", "DIF_SNAPSHOT_GONE")


async def test_rows_are_not_kept_when_there_are_too_many_or_keeping_is_off(house: SmallHouse) -> None:
    extractor = await house.replica("extractor")
    assert (await house.request("dry-run")).is_accepted
    for rows_max, side in ((0, "source"), (len(house.target.records) - 1, "target")):
        extractor.dispatcher._context = replace(extractor.context, replay_rows_max=rows_max)
        await extractor.deliver(await house.command(f"cmd.extract.{house.run}.{side}.{ENTITY}"))
        assert (await fact(house, side)).kept == ()
    first = house.run
    await house.diff()
    await house.draft()
    assert (await house.request("dry-run", replay_of=first)).is_accepted
    with pytest.raises(StopRun, match="kept no rows"):
        await house.read_sides()


async def test_quarantine_of_an_unknown_run_is_refused(house: SmallHouse) -> None:
    extractor = await house.replica("extractor")
    with pytest.raises(StopRun) as unknown:
        await quarantine_items(QuarantineQuery(run=RUN), extractor.context)
    assert unknown.value.code == "APV_UNKNOWN_RUN"
    with pytest.raises(NeedsPerson):
        await quarantine_items(QuarantineQuery(run="*"), extractor.context)
