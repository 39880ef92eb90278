"""What is broken on purpose is found, and what wakes up late is kept out."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from shared.bus.reading import read_all
from shared.events.facts import outcomes_filter
from shared.run.states import RunStatus
from tests.faults.crash_house import POLL_SECONDS, CrashHouse, Violated, crash_house, small_district
from tests.faults.crash_points import point_named
from tests.support.road import District

pytestmark = pytest.mark.asyncio(loop_scope="module")

APPLIERS = ("applier-1", "applier-2")


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> District:
    """A district in which one run finds fifty changes."""
    return small_district(tmp_path_factory.mktemp("fifty"))


# --- defects that a crash, or a look at the ledger, brings to light ---------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sabotaged(fifty: District, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CrashHouse]:
    """A house whose applier records intents late and whose differ acknowledges first."""
    folder = tmp_path_factory.mktemp("sabotaged")
    async with crash_house(fifty, folder / "house", applier="late-intents", differ="acknowledged-first") as made:
        yield made


async def test_intents_that_come_after_their_writes_are_found(sabotaged: CrashHouse) -> None:
    with pytest.raises(Violated, match="its intent lay on the bus at"):
        await sabotaged.exercise()


async def test_change_whose_intent_was_not_durable_is_not_counted_as_ours_after_a_crash(sabotaged: CrashHouse) -> None:
    with pytest.raises(Violated, match="50 changes were to be applied, the run counts"):
        await sabotaged.exercise((point_named("applier-after-middle-write"),))


@pytest.mark.whole
async def test_message_acknowledged_before_its_effect_is_lost_with_a_crash(sabotaged: CrashHouse) -> None:
    sabotaged.patience_seconds = 20
    with pytest.raises(Violated, match="is not awaiting approval after 20 s: diffing"):
        await sabotaged.exercise((point_named("differ-before-partition"),))


# --- the old holder ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Late:
    """What an applier did that stood still, was replaced, and went on when the other was done."""

    run: str
    requests: list[str]
    """Writes that reached the vendor."""
    records: list[str]
    """Subjects of intents and outcomes that were stored."""


async def old_holder_wakes_up(house: CrashHouse) -> Late:
    """One of two appliers stands still between its intents and its writes until the other has finished the run."""
    run = await house.request()
    await house.until(run, lambda state: state.status is RunStatus.AWAITING_APPROVAL, "awaiting approval")
    house.arm((point_named("applier-after-later-intents"),), stops=True)
    await house.approve(run)
    old = await _standing_still(house)
    await house.until(run, lambda state: state.has_ended, "at its end")
    await house.until_sealed(run)
    journal = await house.road.vendor("GET", "journal?after_seq=0")
    ledger_end = (await house.js.stream_info("LEDGER")).state.last_seq
    log = house.road.stack.layout.logs / f"{old}.log"
    heard = log.stat().st_size
    os.kill(house.service_pid(old), signal.SIGCONT)
    async with asyncio.timeout(house.patience_seconds):
        # Told by itself: the delivery that it held has ended, one way or the other.
        while not any(word in log.read_bytes()[heard:] for word in (b"bus_retry", b"apply_finished", b"apply_paused")):
            await asyncio.sleep(POLL_SECONDS)
    later = await house.road.vendor("GET", f"journal?after_seq={journal['last_seq']}")
    requests = [f"{one['method']} {one['path']}" for one in later["entries"] if one["method"] != "GET"]
    subjects = read_all(house.js, "LEDGER", outcomes_filter(run), start_seq=ledger_end + 1)
    return Late(run, requests, [stored.subject async for stored in subjects])


async def _standing_still(house: CrashHouse) -> str:
    deadline = time.monotonic() + house.patience_seconds
    while time.monotonic() < deadline:
        for name in APPLIERS:
            if _is_stopped(house.service_pid(name)):
                return name
        await asyncio.sleep(POLL_SECONDS)
    raise Violated("no applier came by the place where it is to stand still")


def _is_stopped(pid: int) -> bool:
    """Whether the kernel holds a process stopped; its state stands behind its name in brackets."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"


async def test_late_writes_of_an_old_holder_are_fenced_off(fifty: District, tmp_path: Path) -> None:
    async with crash_house(fifty, tmp_path / "house", appliers=2) as house:
        late = await old_holder_wakes_up(house)
        assert late.requests == []
        assert late.records == []
        assert await house.check(late.run) == 50


async def test_lease_without_a_token_lets_the_old_holder_write(fifty: District, tmp_path: Path) -> None:
    async with crash_house(fifty, tmp_path / "house", appliers=2, applier="lease-ignored") as house:
        late = await old_holder_wakes_up(house)
        assert late.requests != []
        assert late.records != []
        with pytest.raises(Violated, match="more than one outcome"):
            await house.check(late.run)
