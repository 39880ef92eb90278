"""What `make fire` stands on: a fault for each alert, and rules that are the house's own, only quicker."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from deploy.prometheus.alerting import GROUPS
from tests.operating.fire import __main__ as fire
from tests.operating.fire.fault import Fault, is_killed
from tests.operating.fire.faults import FAULTS
from tests.operating.fire.rules import duration, query, shortened
from tests.operating.prometheus import why_not


def test_a_fault_fires_each_alert_in_each_severity(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fire.unfired() == set()
    less = [fault for fault in FAULTS if "DiskLow critical spill" not in fault.alerts]
    monkeypatch.setattr(fire, "FAULTS", [*less, Fault("half", ("DiskLow warning spill",), is_killed("console"))])
    assert fire.unfired() == {"DiskFills", "DiskLow critical"}


@pytest.mark.skipif(why_not("prometheus") is not None, reason=str(why_not("prometheus")))
def test_words_that_choose_nothing_are_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert fire.main(["zzz"]) == 2
    assert FAULTS[0].what in capsys.readouterr().out


def test_an_alert_of_an_earlier_cause_is_seen_firing_and_is_no_answer_to_a_later_fault() -> None:
    watch = fire.Watch([])
    now = time.monotonic()
    watch.seen = {
        ("QuarantineGrows", "sync", "warning"): [fire.Seen(now - 60, now - 1)],
        ("DiskLow", "spill", "warning"): [fire.Seen(now - 60, now - fire.GAP_SECONDS - 1)],
    }
    assert watch.is_firing("QuarantineGrows sync")
    assert not watch.is_firing("QuarantineGrows another")
    assert not watch.is_firing("DiskLow spill")
    assert watch.of("QuarantineGrows sync", since=now - 10) is None
    assert watch.of("QuarantineGrows sync", since=now - 70) is not None


@pytest.mark.parametrize(
    ("expr", "divided"),
    [
        ("time() - max(x) > 300", "time() - max(x) > 20.0"),
        ("time() - max(x) > 3 * max(y)", "time() - max(x) > 3 * max(y)"),
        ("sum(increase(x_total[30m])) >= 3", "sum(increase(x_total[120000ms])) >= 3"),
        ("sum(aether_audit_lag) > 5000", "sum(aether_audit_lag) > 5000"),
        ("predict_linear(x[3h], 86400) > 0", "predict_linear(x[720000ms], 5760.0) > 0"),
        ("min_over_time(sum(x)[5m:1m]) > 0", "min_over_time(sum(x)[20000ms:4000ms]) > 0"),
        ("max_over_time(x[1h] offset 6h)", "max_over_time(x[240000ms] offset 1440000ms)"),
        ("a:bad:ratio_rate1h > 0.0144", "a:bad:ratio_rate1h > 0.0144"),
    ],
)
def test_times_are_divided_and_nothing_else(expr: str, divided: str) -> None:
    assert query(expr, 15) == divided


def test_what_holds_at_once_still_holds_for_no_time_at_all() -> None:
    assert (duration("2m", 15), duration("0m", 15)) == ("8000ms", "0ms")


@pytest.mark.skipif(why_not("promtool") is not None, reason=str(why_not("promtool")))
def test_promtool_takes_the_quicker_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps(shortened(GROUPS)), encoding="utf-8")
    checked = subprocess.run(
        ["promtool", "check", "rules", str(rules)], capture_output=True, text=True, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    number = sum(len(group.alerts) + len(group.recordings) for group in GROUPS)
    assert f"{number} rules found" in checked.stdout
