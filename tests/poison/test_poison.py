"""Ten thousand malformed inputs: each is refused with its place and reason; none crashes, hangs or is believed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog

from tests.poison import definitions, events, vendor
from tests.poison.mutations import SPOILERS
from tests.poison.passes import PASSES, silence
from tests.poison.tally import Tally

COUNTS: Final = {"events": 4_000, "definitions": 3_000, "vendor": 3_000}
SEED: Final = 4


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    silence()
    yield
    structlog.reset_defaults()


async def poisoned(name: str, folder: Path) -> Tally:
    tally = await PASSES[name](COUNTS[name], SEED, folder)
    assert tally.violations == [], "\n" + tally.table()
    assert tally.total == COUNTS[name]
    assert "crash" not in tally.endings()
    assert "hang" not in tally.endings()
    return tally


def test_ten_thousand_inputs_are_poisoned_in_every_class() -> None:
    assert set(COUNTS) == set(PASSES)
    assert sum(COUNTS.values()) >= 10_000


async def test_poisoned_events_and_commands_are_refused_for_good(tmp_path: Path) -> None:
    tally = await poisoned("events", tmp_path)
    assert set(SPOILERS) | {"another_type", "another_run", "bad_headers"} == tally.ways(events.EVENT)
    assert set(SPOILERS) <= tally.ways(events.COMMAND)
    assert {"refused SYS_UNDECODABLE", "refused APV_MALFORMED", "refused APV_UNKNOWN_RUN"} <= tally.endings()
    assert {"refused APV_UNATTRIBUTED", "refused CTR_UNKNOWN"} <= tally.endings()


async def test_poisoned_definitions_are_refused_with_their_place(tmp_path: Path) -> None:
    tally = await poisoned("definitions", tmp_path)
    refused = {ending for ending in tally.endings() if "refused" in ending}
    assert refused == {
        "connector refused CTR_INVALID",
        "table refused CTR_INVALID",
        "protected refused CTR_INVALID",
        "connections refused SRC_CONFIG",
        "people refused SRC_CONFIG",
        "policy refused GRD_POLICY",
    }


async def test_poisoned_answers_of_a_vendor_are_never_believed(tmp_path: Path) -> None:
    tally = await poisoned("vendor", tmp_path)
    endings = tally.endings()
    for ending in (
        "TryLater SRC_RATE_LIMITED",
        "TryLater SRC_UNREACHABLE",
        "NeedsPerson SRC_AUTH",
        "StopRun SRC_WRONG_SHAPE",
        "OutcomeUnknown APL_UNKNOWN_OUTCOME",
        "TryLater APL_RATE_LIMITED",
        "NeedsPerson APL_AUTH",
        "RecordRefused APL_REFUSED_RECORD",
        "TargetMoved APL_CONFLICT",
        "StopRun APL_WRONG_SHAPE",
    ):
        assert ending in endings
    assert {vendor.READ, vendor.WRITE} == {name for name, _, _ in tally.counts}


def test_a_crash_a_hang_and_a_leak_are_seen() -> None:
    tally = Tally(seed=7)
    tally.crash(definitions.CLASS, "gigantic", KeyError("x"))
    tally.check_secrecy(definitions.CLASS, "gigantic", "role: Zzyzx-Quagmire-5512 is none")
    assert [violation.split(": ", 1)[0] for violation in tally.violations] == [
        "seed 7, input 1 (definition/gigantic)",
        "seed 7, input 2 (definition/gigantic)",
    ]
    assert tally.endings() == {"crash"}
