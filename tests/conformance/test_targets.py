"""Every system that can be written, held to what every target promises."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, TargetMoved, TryLater
from shared.hashing.canonical import canonical_json
from shared.ports.system import Receipt, Target
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from tests.conformance.bench import Bench, Vendor, Writing
from tests.conformance.rules import REGISTRY, cases, shows
from tests.conformance.source_suite import pages_of

SHOWN_SECONDS_MAX = 10.0
HONEST_UNKNOWN = (OutcomeUnknown,)
NOT_DONE = (TryLater,)
VERBS: tuple[ChangeVerb, ...] = ("create", "update", "suspend", "reactivate", "delete")


def require(writing: Writing, verb: ChangeVerb) -> None:
    if verb not in writing.can:
        pytest.skip(f"this entity has no {verb}")


@pytest.mark.parametrize("case", cases("target"), ids="-".join)
class TestTargets:
    @pytest.fixture
    def writing(self, bench: Bench) -> Writing:
        assert bench.writing is not None, "the manifest calls it a target; the bench must say what may be written"
        return bench.writing

    # --- one record, its life ---------------------------------------------------------------------------------------

    @shows("records_are_shown")
    async def test_a_created_record_is_shown_by_key_and_by_id(self, bench: Bench, writing: Writing) -> None:
        require(writing, "create")
        receipt = await written(bench, "create", None, writing.new(1), key="1")
        by_key = await shown(bench, key=key_of(writing, 1))
        assert by_key is not None
        target_id = receipt.target_id or str(by_key["target_id"])
        assert by_key["target_id"] == target_id
        assert await shown(bench, target_id=target_id) == by_key
        assert set(by_key) == {column.name for column in writing.target.columns(bench.entity)}
        kept = {name: by_key[name] for name, value in writing.new(1).items() if value is not None}
        assert kept == {name: value for name, value in writing.new(1).items() if value is not None}

    @shows("records_are_shown")
    async def test_a_record_is_shown_one_by_one_as_a_list_shows_it(self, bench: Bench, writing: Writing) -> None:
        pages = await pages_of(writing.target, bench.entity)
        for row in [row for page in pages for row in page.rows.iter_rows(named=True)][:5]:
            one = await writing.target.fetch(bench.entity, target_id=str(row["target_id"]), key=None)
            assert one is not None
            assert dict(one) == row

    @shows("records_are_shown")
    async def test_what_is_not_there_is_none(self, bench: Bench, writing: Writing) -> None:
        assert await writing.target.fetch(bench.entity, target_id=None, key=key_of(writing, 999)) is None

    @shows("answers_have_one_meaning")
    async def test_an_update_changes_what_it_names_and_nothing_else(self, bench: Bench, writing: Writing) -> None:
        require(writing, "update")
        before = await created(bench, 1)
        await written(bench, "update", str(before["target_id"]), writing.change, key="2")
        after = await until_shown(bench, str(before["target_id"]), writing.change)
        assert after == {**before, **writing.change}

    @shows("answers_have_one_meaning")
    async def test_suspended_and_brought_back(self, bench: Bench, writing: Writing) -> None:
        require(writing, "suspend")
        before = await created(bench, 1)
        target_id = str(before["target_id"])
        await written(bench, "suspend", target_id, {}, key="2")
        suspended = await shown(bench, target_id=target_id)
        assert suspended is not None, "a suspended record must still be shown"
        assert suspended != before
        await written(bench, "reactivate", target_id, {}, key="3")
        assert await shown(bench, target_id=target_id) == before

    @shows("answers_have_one_meaning")
    async def test_deleted_is_gone_and_deleting_again_says_so(self, bench: Bench, writing: Writing) -> None:
        require(writing, "delete")
        before = await created(bench, 1)
        target_id = str(before["target_id"])
        await written(bench, "delete", target_id, {}, key="2")
        assert await shown(bench, target_id=target_id) is None
        with pytest.raises((TargetMoved, RecordRefused)):
            await written(bench, "delete", target_id, {}, key="3")

    @shows("twice_is_once")
    async def test_the_same_create_again_makes_no_second_record(self, bench: Bench, writing: Writing) -> None:
        require(writing, "create")
        await written(bench, "create", None, writing.new(1), key="1")
        with contextlib.suppress(TargetMoved, RecordRefused):
            await written(bench, "create", None, writing.new(1), key="1")
        pages = await pages_of(writing.target, bench.entity)
        keys = [key for page in pages for key in page.rows[writing.key].to_list()]
        assert keys.count(key_of(writing, 1)) == 1

    @shows("twice_is_once")
    async def test_the_same_update_again_leaves_what_it_made(self, bench: Bench, writing: Writing) -> None:
        require(writing, "update")
        before = await created(bench, 1)
        target_id = str(before["target_id"])
        for key in ("2", "2"):
            await written(bench, "update", target_id, writing.change, key=key)
        assert await until_shown(bench, target_id, writing.change) == {**before, **writing.change}

    # --- what answers mean ------------------------------------------------------------------------------------------

    @shows("unknown_outcomes_are_said")
    @pytest.mark.parametrize("fault", ["reset_after_effect", "torn_body"])
    async def test_a_write_without_a_whole_answer_is_unknown_and_was_sent_once(
        self, bench: Bench, vendor: Vendor, writing: Writing, fault: str
    ) -> None:
        require(writing, "create")
        await vendor.arm(fault, path_pattern=write_path(writing))
        effects = await vendor.effects()
        with pytest.raises(HONEST_UNKNOWN):
            await written(bench, "create", None, writing.new(1), key="1")
        assert await vendor.disarm() >= 1
        assert await vendor.effects() == effects + 1
        assert await shown(bench, key=key_of(writing, 1)) is not None, "it was done, and a look must show it"

    @shows("unknown_outcomes_are_said")
    async def test_a_server_error_after_a_write_is_never_called_done_or_failed(
        self, bench: Bench, vendor: Vendor, writing: Writing
    ) -> None:
        require(writing, "create")
        await vendor.arm("server_error", path_pattern=write_path(writing), status=500)
        with pytest.raises((*HONEST_UNKNOWN, *NOT_DONE)):
            await written(bench, "create", None, writing.new(1), key="1")
        assert await vendor.disarm() == 1, "it must be sent once, and not again"

    @shows("writes_are_sent_once")
    @pytest.mark.parametrize("fault", ["too_many_requests", "server_error", "reset_before_effect", "html_page"])
    async def test_nothing_is_repeated_inside(self, bench: Bench, vendor: Vendor, writing: Writing, fault: str) -> None:
        require(writing, "create")
        await vendor.arm(fault, path_pattern=write_path(writing), times=100)
        with pytest.raises(AetherError):
            await written(bench, "create", None, writing.new(1), key="1")
        assert await vendor.disarm() == 1
        assert await shown(bench, key=key_of(writing, 1)) is None

    @shows("answers_have_one_meaning")
    async def test_a_throttled_write_is_surely_not_done_and_says_how_long_to_wait(
        self, bench: Bench, vendor: Vendor, writing: Writing
    ) -> None:
        require(writing, "create")
        await vendor.arm("too_many_requests", path_pattern=write_path(writing), retry_after_seconds=7)
        with pytest.raises(TryLater) as caught:
            await written(bench, "create", None, writing.new(1), key="1")
        assert caught.value.code == "APL_RATE_LIMITED"
        assert bench.surroundings is not None
        assert len(bench.surroundings.slowed) == 1

    @shows("answers_have_one_meaning")
    async def test_a_refused_credential_needs_a_person(self, bench: Bench, vendor: Vendor, writing: Writing) -> None:
        require(writing, "create")
        await vendor.arm("unauthorized", times=100)
        with pytest.raises(NeedsPerson) as caught:
            await written(bench, "create", None, writing.new(1), key="1")
        assert caught.value.code == "APL_AUTH"
        await vendor.disarm()
        assert await shown(bench, key=key_of(writing, 1)) is None

    @shows("answers_have_one_meaning")
    async def test_a_success_that_was_a_lie_shows_when_looked_at(
        self, bench: Bench, vendor: Vendor, writing: Writing
    ) -> None:
        require(writing, "update")
        before = await created(bench, 1)
        await vendor.arm("lying_success", path_pattern=write_path(writing))
        try:
            await written(bench, "update", str(before["target_id"]), writing.change, key="2")
        except AetherError as error:
            assert isinstance(error, (OutcomeUnknown, RecordRefused, TargetMoved))
        assert await shown(bench, target_id=str(before["target_id"])) == before

    @shows("reading_writes_nothing")
    async def test_who_may_only_read_is_refused_by_the_other_side(self, bench: Bench, writing: Writing) -> None:
        require(writing, "create")
        if writing.may_only_read is None:
            pytest.skip("this system knows no credential that may only read")
        with pytest.raises(NeedsPerson):
            await send(writing.may_only_read, bench, "create", None, writing.new(1), key="1")
        assert await shown(bench, key=key_of(writing, 1)) is None

    @shows("reading_writes_nothing")
    async def test_looking_writes_nothing(self, bench: Bench, writing: Writing) -> None:
        before = [page.sha256 for page in await pages_of(bench.source, bench.entity)]
        effects = await bench.vendor.effects() if bench.vendor is not None else 0
        await writing.target.check()
        await writing.target.fetch(bench.entity, target_id=None, key=key_of(writing, 5))
        assert effects == (await bench.vendor.effects() if bench.vendor is not None else 0)
        if bench.has_order:
            assert [page.sha256 for page in await pages_of(bench.source, bench.entity)] == before

    @shows("answers_have_one_meaning")
    async def test_a_write_that_no_plan_of_ours_holds_is_not_sent(self, bench: Bench, writing: Writing) -> None:
        effects = await bench.vendor.effects() if bench.vendor is not None else 0
        for write in (
            WireWrite("POST", "/../../etc/passwd", {}),
            WireWrite("TRACE", "/", None),
            WireWrite("POST", "https://elsewhere.example/x", {}),
        ):
            with pytest.raises(AetherError):
                await writing.target.write(write, idempotency_key="x")
        assert effects == (await bench.vendor.effects() if bench.vendor is not None else 0)

    @shows("twice_is_once")
    async def test_many_at_once_each_get_their_own_answer(self, bench: Bench, writing: Writing) -> None:
        require(writing, "create")
        numbers = range(1, 13)
        await asyncio.gather(*(written(bench, "create", None, writing.new(n), key=str(n)) for n in numbers))
        for number in numbers:
            assert await shown(bench, key=key_of(writing, number)) is not None
        assert sum(page.rows.height for page in await pages_of(writing.target, bench.entity)) == bench.rows + 12

    @shows("judged_by_a_simulator")
    async def test_no_write_of_ours_breaks_the_documents(self, bench: Bench, vendor: Vendor, writing: Writing) -> None:
        if "create" in writing.can:
            before = await created(bench, 1)
            target_id = str(before["target_id"])
            if "update" in writing.can:
                await written(bench, "update", target_id, writing.change, key="2")
            for verb in ("suspend", "reactivate", "delete"):
                if verb in writing.can:
                    await written(bench, verb, target_id, {}, key=verb)
        assert await vendor.effects() > 0
        assert await vendor.violations() == []

    @shows("wire_is_pure")
    async def test_the_write_of_a_change_is_decided_without_a_connection_and_can_stand_in_a_plan(
        self, bench: Bench, writing: Writing, case: tuple[str, str]
    ) -> None:
        module = type(writing.wire).__module__
        assert module.endswith(".wire"), f"{module} does not stand behind the wall for wires (.importlinter)"
        for verb in VERBS:
            if verb not in writing.can:
                continue
            target_id = None if verb == "create" else writing.any_target_id
            values: Record = writing.new(1) if verb == "create" else writing.change if verb == "update" else {}
            write = REGISTRY.wire(case[0]).write_for(bench.entity, verb=verb, target_id=target_id, values=values)
            assert write.path.startswith("/")
            assert "://" not in write.path
            assert write == writing.wire.write_for(bench.entity, verb=verb, target_id=target_id, values=values)
            canonical_json(None if write.body is None else dict(write.body))


# --- acting ---------------------------------------------------------------------------------------------------------


def key_of(writing: Writing, number: int) -> str:
    return str(writing.new(number)[writing.key])


def write_path(writing: Writing) -> str:
    """The path that creates go to, as a pattern."""
    path = writing.write_path
    assert path, "the bench must say where creates go"
    return path


async def send(
    target: Target, bench: Bench, verb: ChangeVerb, target_id: str | None, values: Record, *, key: str
) -> Receipt:
    assert bench.writing is not None
    write = bench.writing.wire.write_for(bench.entity, verb=verb, target_id=target_id, values=values)
    again = bench.writing.wire.write_for(bench.entity, verb=verb, target_id=target_id, values=values)
    assert write == again, "the same change must be the same write"
    return await target.write(write, idempotency_key=key)


async def written(bench: Bench, verb: ChangeVerb, target_id: str | None, values: Record, *, key: str) -> Receipt:
    assert bench.writing is not None
    return await send(bench.writing.target, bench, verb, target_id, values, key=key)


async def shown(bench: Bench, *, target_id: str | None = None, key: str | None = None) -> Record | None:
    assert bench.writing is not None
    return await bench.writing.target.fetch(bench.entity, target_id=target_id, key=key)


async def created(bench: Bench, number: int) -> dict[str, Value]:
    assert bench.writing is not None
    require(bench.writing, "create")
    await written(bench, "create", None, bench.writing.new(number), key=f"create-{number}")
    record = await shown(bench, key=key_of(bench.writing, number))
    assert record is not None
    return dict(record)


async def until_shown(bench: Bench, target_id: str, wanted: Record) -> Record:
    """The record once it shows what was written; at once, where the system is not known to be late."""
    assert bench.writing is not None
    left = bench.writing.hides_unknown_outcome_for_seconds
    while True:
        record = await shown(bench, target_id=target_id)
        assert record is not None
        if left <= 0 or all(record[name] == value for name, value in wanted.items()):
            return dict(record)
        left -= 0.05
        await asyncio.sleep(0.05)
