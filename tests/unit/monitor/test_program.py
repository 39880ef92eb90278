"""What every program tells of itself, and that families are made from the table alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.auditor.settings import AuditorSettings
from shared.settings import sqlite_folder
from shared.telemetry import families
from shared.telemetry.program import release, tell_program
from tests.support.figures import faults_of


def test_a_program_tells_its_release_its_disks_and_its_memory(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    tell_program(registry, service="differ", places={"data": tmp_path / "not" / "there", "spill": tmp_path})
    assert registry.get_sample_value("aether_build_info", {"service": "differ", "version": release()}) == 1
    for place in ("data", "spill"):
        size = registry.get_sample_value("aether_disk_size_bytes", {"place": place})
        assert size == shutil.disk_usage(tmp_path).total
        free = registry.get_sample_value("aether_disk_free_bytes", {"place": place})
        assert free is not None
        assert 0 < free <= size
    assert (registry.get_sample_value("process_resident_memory_bytes") or 0) > 1_000_000


def test_only_a_database_that_is_a_file_has_a_disk_here(tmp_path: Path) -> None:
    assert sqlite_folder(f"sqlite+aiosqlite:///{tmp_path}/auditor.db") == {"data": tmp_path}
    assert sqlite_folder("postgresql+psycopg://reader@db/audit") == {}
    settings = AuditorSettings(
        nats_url="nats://x", nats_password="env:X", database_url=f"sqlite+aiosqlite:///{tmp_path}/a.db",
        signing_key="env:KEY",
    )  # fmt: skip
    assert settings.places() == {"data": tmp_path}


def test_a_figure_that_is_not_in_the_table_cannot_be_made() -> None:
    registry = CollectorRegistry()
    with pytest.raises(KeyError):
        families.counter("aether_made_up_total", registry)
    with pytest.raises(TypeError, match="a gauge in the table of figures, not a counter"):
        families.counter("aether_runs_open", registry)


def test_a_family_that_differs_from_the_table_is_seen() -> None:
    def told(text: str) -> list[str]:
        return [fault for fault in faults_of(text, "applier") if "does not give" not in fault]

    assert told('# TYPE aether_alarms_total counter\naether_alarms_total{code="X"} 1\n') == []
    assert told("# TYPE faststream_x gauge\nfaststream_x 1\n") == []
    assert told("# TYPE aether_made_up gauge\naether_made_up 1\n") == ["applier: aether_made_up is not in the table"]
    assert "is a gauge, in the table a counter" in told("# TYPE aether_alarms_total gauge\naether_alarms_total 1\n")[0]
    assert (
        "has the labels ['person']"
        in told('# TYPE aether_alarms_total counter\naether_alarms_total{person="Ana"} 1\n')[0]
    )
    assert "given by monitor" in told("# TYPE aether_runs_open gauge\n")[0]
    assert "applier does not give aether_build_info" in faults_of("", "applier")


def test_every_family_is_made_with_the_labels_of_its_row() -> None:
    registry = CollectorRegistry()
    families.counter("aether_alarms_total", registry).labels("SYS_SECRET").inc()
    families.gauge("aether_audit_lag", registry).labels("CORE").set(3)
    families.histogram("aether_bus_wait_seconds", registry, buckets=(1.0,)).labels("differ").observe(0.5)
    text = generate_latest(registry).decode()
    assert 'aether_alarms_total{code="SYS_SECRET"} 1.0' in text
    assert 'aether_audit_lag{stream="CORE"} 3.0' in text
    assert 'aether_bus_wait_seconds_bucket{consumer="differ",le="1.0"} 1.0' in text
