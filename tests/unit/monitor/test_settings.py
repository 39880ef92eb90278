"""Lists of servers and certificates in one variable."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.monitor.settings import MonitorSettings, named_parts

NEEDED: dict[str, Any] = {
    "nats_url": "nats://127.0.0.1:4222",
    "nats_password": "file:/run/secrets/monitor",
    "audit_database_url": "sqlite+aiosqlite:////data/auditor.db",
}


def test_servers_and_certificates_are_named_by_the_operator_or_by_their_place() -> None:
    settings = MonitorSettings(
        **NEEDED,
        bus_monitoring_urls="nats1=http://nats1:8222/, http://nats2:8222",
        certificates="bus=/etc/bus.pem",
    )
    assert settings.servers() == (("nats1", "http://nats1:8222"), ("bus-2", "http://nats2:8222"))
    assert settings.certificate_files() == (("bus", "/etc/bus.pem"),)
    assert MonitorSettings(**NEEDED).servers() == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bus_monitoring_urls", "nats1=nats://nats1:4222", "no web address"),
        ("bus_monitoring_urls", "a=http://x,a=http://y", "given twice"),
        ("bus_monitoring_urls", "a b=http://x", "is no name"),
        ("certificates", "bus=etc/bus.pem", "no absolute path"),
        ("audit_database_url", "mysql://x", "pattern"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(name: str, text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MonitorSettings(**(NEEDED | {name: text}))


def test_an_address_may_hold_an_equals_sign() -> None:
    assert named_parts("http://x/?a=b", otherwise="bus") == (("bus-1", "http://x/?a=b"),)
    with pytest.raises(ValueError, match="101 are named, 100 are allowed"):
        named_parts(",".join(f"n{each}=/x" for each in range(101)), otherwise="bus")
