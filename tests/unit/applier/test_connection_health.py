"""The quarantine of a connection, as decisions: what begins it, what keeps it, what ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.applier.connection_health import PROBES_MAX, Pace, note_of, probed, quarantined, quarantines
from shared.events.documents import FailureNote
from shared.events.facts import ConnectionHealth
from shared.failures import CATALOGUE
from shared.run.moves import Decision
from tests.unit.plan.plan_builder import NOW, RUN

AT, LATER = "2026-11-22T08:30:00.000Z", "2026-11-22T09:00:00.000Z"
REFUSED = FailureNote(code="APL_AUTH", text="401")
SICK = ConnectionHealth(connection="small", status="quarantined", since=AT, reason=REFUSED, run=RUN, probes=3)
WELL = ConnectionHealth(connection="small", status="healthy", since=AT, reason=None, run=None)


def health_in(decision: Decision) -> ConnectionHealth:
    (message,) = decision.messages
    assert isinstance(message.event, ConnectionHealth)
    assert message.subject == "connection.small.health"
    return message.event


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_only_a_refused_credential_quarantines(code: str) -> None:
    expected = code in {"APL_AUTH", "SRC_AUTH"} and CATALOGUE[code].category == "auth"
    assert quarantines(FailureNote(code=code, text="")) is expected


@pytest.mark.parametrize("present", [None, WELL])
def test_refused_credential_begins_a_quarantine(present: ConnectionHealth | None) -> None:
    health = health_in(quarantined(present, connection="small", reason=REFUSED, run=RUN, at=LATER))
    assert (health.status, health.since, health.reason, health.run, health.probes) == (
        "quarantined",
        LATER,
        REFUSED,
        RUN,
        0,
    )


def test_quarantine_that_stands_keeps_its_moment_and_its_reason() -> None:
    assert quarantined(SICK, connection="small", reason=REFUSED, run=RUN, at=LATER) == Decision()


def test_good_check_ends_the_quarantine() -> None:
    health = health_in(probed(SICK, is_good=True, run=None, at=LATER))
    assert (health.status, health.since, health.reason, health.probes) == ("healthy", LATER, None, 0)


def test_bad_check_counts_and_keeps_since() -> None:
    health = health_in(probed(SICK, is_good=False, run=None, at=LATER))
    assert health == SICK.model_copy(update={"probes": 4})
    full = SICK.model_copy(update={"probes": PROBES_MAX})
    assert health_in(probed(full, is_good=False, run=None, at=LATER)).probes == PROBES_MAX


@pytest.mark.parametrize("present", [None, WELL])
@pytest.mark.parametrize("is_good", [True, False])
def test_check_of_a_healthy_connection_writes_nothing(present: ConnectionHealth | None, is_good: bool) -> None:
    assert probed(present, is_good=is_good, run=None, at=LATER) == Decision()


def test_reason_not_to_send_says_since_when_why_and_how_often_it_was_tried() -> None:
    note = note_of(SICK)
    assert note.code == "APL_QUARANTINED"
    assert all(word in note.text for word in ("small", AT, "APL_AUTH", "3 times"))


def test_pauses_between_probes_grow_to_their_limit() -> None:
    pace = Pace(seconds=60, seconds_max=900)
    assert [pace.after(probes) for probes in (0, 1, 2, 3, 4, 5, PROBES_MAX)] == [60, 120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize(("elapsed", "is_due"), [(0, False), (479, False), (480, True), (-479, False), (-480, True)])
def test_probe_is_due_after_its_pause_also_when_a_clock_has_jumped(elapsed: int, is_due: bool) -> None:
    pace = Pace(seconds=60, seconds_max=900)
    assert pace.is_due(SICK, written_at=NOW - timedelta(seconds=elapsed), now=NOW) is is_due
