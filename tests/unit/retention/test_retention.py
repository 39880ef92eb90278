"""The policy has a row for every place, and says of the streams what the server is told to do."""

from __future__ import annotations

from services.auditor.settings import AuditorSettings
from services.console.accounts import tables as console
from services.differ.memory_runs import STATISTICS_DAYS
from services.differ.memory_tables import TABLES
from shared.audit import tables as audit
from shared.bus.topology import STREAMS
from shared.retention import DAY_SECONDS, LISTINGS_KEEP_DAYS, LISTINGS_KEEP_DAYS_MIN, RETENTION, retention_of


def test_every_stream_and_every_table_has_exactly_one_row() -> None:
    places = [
        *(f"stream {stream.name}" for stream in STREAMS),
        *(f"auditor.{name}" for name in audit.metadata.tables),
        *(f"differ.{table.name}" for table in TABLES),
        *(f"console.{name}" for name in console.metadata.tables),
    ]
    assert sorted(row.place for row in RETENTION) == sorted(places)


def test_the_server_enforces_what_the_policy_says_of_streams() -> None:
    for stream in STREAMS:
        row = retention_of(f"stream {stream.name}")
        assert row.kept_seconds == (stream.max_age_seconds or None), stream.name
        if stream.max_age_seconds:
            assert row.enforced_by == "the server, by age"
        elif stream.discard == "new":
            assert row.enforced_by == "nobody: it only grows"
        else:
            assert row.enforced_by == "the server, by subject"


def test_what_is_read_as_it_is_has_an_end() -> None:
    """Personal values lie nowhere for ever."""
    for row in RETENTION:
        assert row.personal not in ("plain", "masked") or row.kept_seconds is not None, row.place


def test_what_proves_has_none() -> None:
    for name in audit.APPEND_ONLY:
        row = retention_of(f"auditor.{name}")
        assert (row.kept_seconds, row.enforced_by) == (None, "nobody: it only grows")


def test_programs_sweep_when_the_policy_says() -> None:
    assert AuditorSettings.model_fields["listings_keep_days"].default == LISTINGS_KEEP_DAYS
    assert retention_of("stream PLAN").kept_seconds == LISTINGS_KEEP_DAYS_MIN * DAY_SECONDS
    assert retention_of("differ.run_statistics").kept_seconds == STATISTICS_DAYS * DAY_SECONDS
