"""Alerts: promtool judges rules and cases, each alert has a page of its own, Alertmanager sends it where it should."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from ruamel.yaml import YAML

from deploy.prometheus.alerting import GROUPS
from deploy.prometheus.alerting.model import RUNBOOKS, Case
from deploy.prometheus.write import HERE, documents, main
from tests.operating.prometheus import any_free_port, why_not

ROOT: Final = Path(__file__).resolve().parents[2]
ALERTS: Final = sorted({alert.name for group in GROUPS for alert in group.alerts})
ALERTMANAGER: Final = ROOT / "deploy/alertmanager/alertmanager.yml"
PARTS: Final = ("Who", "What it means", "What to look at", "What to do", "Over when", "Not")


def needs(*programs: str) -> pytest.MarkDecorator:
    reason = why_not(*programs)
    return pytest.mark.skipif(reason is not None, reason=str(reason))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_files_are_what_the_tables_say(tmp_path: Path) -> None:
    for name, text in documents().items():
        assert (HERE / name).read_text(encoding="utf-8") == text, f"{name}: run `python -m deploy.prometheus.write`"
    there = {f"{folder}/{path.name}" for folder in ("rules", "tests") for path in (HERE / folder).iterdir()}
    assert there == set(documents())
    assert main([str(tmp_path)]) == 0


def test_every_rule_was_tried_where_it_fires_and_where_it_is_silent() -> None:
    for group in GROUPS:
        for alert in group.alerts:
            assert any(case.fires for case in alert.cases), alert.name
            assert not all(case.fires for case in alert.cases), alert.name
    alert = GROUPS[0].alerts[0]
    with pytest.raises(ValueError, match="silent"):
        replace(alert, cases=tuple(case for case in alert.cases if case.fires))
    with pytest.raises(ValueError, match="fires"):
        replace(alert, cases=(Case(what="nothing", series={}, at="1m"),))


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_page_that_says_what_to_do(name: str) -> None:
    page = (ROOT / RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    for part in PARTS:
        assert re.search(rf"^(?:## {part}$|\*\*{part}:\*\* \w)", page, re.MULTILINE), f"{name}.md has no {part!r}"


def test_every_page_is_of_an_alert_and_stands_in_the_list() -> None:
    pages = {path.stem for path in (ROOT / RUNBOOKS).glob("*.md")} - {"README"}
    assert pages == set(ALERTS)
    listed = (ROOT / RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert {name for name in pages if f"({name}.md)" not in listed} == set()


def test_texts_hold_a_number_and_name_the_page() -> None:
    for group in GROUPS:
        for alert in group.alerts:
            if alert.name != "Heartbeat":
                assert re.search(r"\d|\$value", alert.description), alert.name
    for group in GROUPS:
        rules = YAML(typ="safe").load((HERE / f"rules/{group.component}.yml").read_text(encoding="utf-8"))
        for rule in rules["groups"][0]["rules"]:
            if "alert" in rule:
                assert (ROOT / rule["annotations"]["runbook_url"]).is_file()
                assert rule["labels"]["severity"] in ("critical", "warning", "none")


@needs("promtool")
@pytest.mark.slow
@pytest.mark.parametrize("component", [group.component for group in GROUPS])
def test_promtool_sees_every_alert_fire_and_be_silent(component: str) -> None:
    done = run("promtool", "test", "rules", str(HERE / f"tests/{component}.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@needs("promtool")
def test_promtool_sees_it_when_an_alert_does_not_fire(tmp_path: Path) -> None:
    main([str(tmp_path)])
    rules = tmp_path / "rules/safety.yml"
    text = rules.read_text(encoding="utf-8")
    assert "sum(aether_audit_lag) > 5000" in text
    rules.write_text(text.replace("sum(aether_audit_lag) > 5000", "sum(aether_audit_lag) > 9000"), encoding="utf-8")
    done = run("promtool", "test", "rules", str(tmp_path / "tests/safety.yml"))
    assert done.returncode != 0
    assert "AuditBehind" in done.stdout + done.stderr


@needs("promtool", "amtool")
def test_prometheus_and_alertmanager_take_their_configuration() -> None:
    for command in (
        ("promtool", "check", "config", str(HERE / "prometheus.yml")),
        ("amtool", "check-config", str(ALERTMANAGER)),
    ):
        done = run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout


@needs("amtool")
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "Heartbeat", "severity": "none"}, "heartbeat"),
        ({"alertname": "AlarmRaised", "severity": "critical", "component": "safety"}, "night"),
        ({"alertname": "RunMissing", "severity": "critical", "component": "runs"}, "night"),
        ({"alertname": "QuarantineOld", "severity": "warning", "component": "runs"}, "morning"),
    ],
)
def test_what_is_critical_wakes_somebody_and_the_rest_waits(labels: dict[str, str], receiver: str) -> None:
    words = [f"{name}={value}" for name, value in labels.items()]
    done = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *words)
    assert done.stdout.strip() == receiver, done.stderr


Seen = tuple[tuple[dict[str, str], str], ...]
DOWN: Final[Seen] = (
    ({"alertname": "BusDown", "severity": "critical", "component": "bus"}, "active"),
    ({"alertname": "ServiceDown", "severity": "critical", "component": "programs", "service": "differ"}, "suppressed"),
    ({"alertname": "RunStuck", "severity": "warning", "component": "runs", "connector": "staff"}, "suppressed"),
    ({"alertname": "AlarmRaised", "severity": "critical", "component": "safety", "code": "APL_STALE"}, "active"),
    ({"alertname": "Heartbeat", "severity": "none", "component": "programs"}, "active"),
)
UNRECORDED: Final[Seen] = (
    ({"alertname": "AuditStopped", "severity": "critical", "component": "safety"}, "active"),
    ({"alertname": "RunMissing", "severity": "critical", "component": "runs", "connector": "staff"}, "suppressed"),
    ({"alertname": "RunStuck", "severity": "warning", "component": "runs", "connector": "staff"}, "active"),
)


@needs("prometheus-alertmanager")
@pytest.mark.parametrize("seen", [DOWN, UNRECORDED], ids=["down", "unrecorded"])
async def test_what_fails_silences_what_follows_from_it_and_nothing_else(tmp_path: Path, seen: Seen) -> None:
    port = any_free_port()
    process = subprocess.Popen(  # noqa: ASYNC220  started once, and nothing else goes on meanwhile
        [
            *("prometheus-alertmanager", f"--config.file={ALERTMANAGER}", f"--storage.path={tmp_path / 'data'}"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False) as client:
            found = await _told(client, seen)
    finally:
        process.terminate()
        process.wait(timeout=10)
    assert found == {labels["alertname"]: state for labels, state in seen}


async def _told(client: httpx.AsyncClient, seen: Seen) -> dict[str, str]:
    """Tell it the alerts and wait until it has decided upon all of them."""
    deadline = time.monotonic() + 30
    ends = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    alerts = [{"labels": labels, "endsAt": ends} for labels, _ in seen]
    found: dict[str, str] = {}
    while time.monotonic() < deadline:
        try:
            await client.post("/api/v2/alerts", json=alerts)
            answer: list[dict[str, Any]] = json.loads((await client.get("/api/v2/alerts")).content)
        except httpx.HTTPError:
            answer = []
        found = {one["labels"]["alertname"]: one["status"]["state"] for one in answer}
        if len(found) == len(seen) and "unprocessed" not in found.values():
            return found
        await asyncio.sleep(0.2)
    return found
