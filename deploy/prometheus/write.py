"""`python -m deploy.prometheus.write [FOLDER]`: writes rules and their tests as Prometheus and promtool read them.

A test keeps deploy/prometheus/rules and deploy/prometheus/tests current, and has promtool judge both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from deploy.prometheus.alerting import GROUPS
from deploy.prometheus.alerting.model import RUNBOOKS, Alert, Expected, Group

HERE: Final = Path(__file__).parent
HEAD: Final = "# Written by `make documents` from deploy/prometheus/alerting/; do not edit.\n"


def documents() -> dict[str, str]:
    """The text of every file, by its path under deploy/prometheus."""
    found = {}
    for group in GROUPS:
        found[f"rules/{group.component}.yml"] = _text({"groups": [_rules(group)]})
        found[f"tests/{group.component}.yml"] = _text(
            {
                "rule_files": [f"../rules/{group.component}.yml"],
                "evaluation_interval": f"{group.evaluated_minutes}m",
                "tests": list(_tests(group)),
            }
        )
    return found


def _rules(group: Group) -> dict[str, Any]:
    return {
        "name": f"aether-{group.component}",
        "rules": [
            *({"record": each.name, "expr": each.expr} for each in group.recordings),
            *(
                {
                    **{"alert": alert.name, "expr": alert.expr, "for": alert.holds},
                    "labels": {"severity": alert.severity, "component": group.component, **alert.labels},
                    "annotations": {
                        **{"summary": alert.summary, "description": alert.description},
                        "runbook_url": f"{RUNBOOKS}/{alert.name}.md",
                    },
                }
                for alert in group.alerts
            ),
        ],
    }


def _tests(group: Group) -> Iterator[dict[str, Any]]:
    """A test for each case; rules of one name that share a case are tried in it together."""
    for name in dict.fromkeys(alert.name for alert in group.alerts):
        alerts = [alert for alert in group.alerts if alert.name == name]
        cases = {(str(case.series), case.at): case for alert in alerts for case in alert.cases}
        for key, case in cases.items():
            expected = [
                _expected(group, alert, one)
                for alert in alerts
                for twin in alert.cases
                if (str(twin.series), twin.at) == key
                for one in twin.fires
            ]
            yield {
                "name": f"{name}: {case.what}",
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
                "alert_rule_test": [{"eval_time": case.at, "alertname": name, "exp_alerts": expected}],
            }


def _expected(group: Group, alert: Alert, one: Expected) -> dict[str, Any]:
    return {
        "exp_labels": {"severity": alert.severity, "component": group.component, **alert.labels, **one.labels},
        "exp_annotations": {
            **{"summary": one.summary, "description": one.description},
            "runbook_url": f"{RUNBOOKS}/{alert.name}.md",
        },
    }


def _text(document: dict[str, Any]) -> str:
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.ignore_aliases = lambda data: True
    stream = StringIO()
    yaml.dump(document, stream)
    return HEAD + stream.getvalue()


def main(arguments: list[str]) -> int:
    """Write them."""
    folder = Path(arguments[0]) if arguments else HERE
    for name, text in documents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
