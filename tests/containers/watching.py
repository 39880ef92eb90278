"""What watches the composition, looked at: Prometheus with its rules and targets, Alertmanager, Grafana's files.

Asked from within their own containers, as nobody else reaches them; every figure is their own answer.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from deploy.setup.places import SERVICES
from tests.containers.composition import Composition, DidNotHold

PROMETHEUS: Final = "http://127.0.0.1:9090"
ALERTMANAGER: Final = "http://127.0.0.1:9093"
ALWAYS: Final = "Heartbeat"
"""The alert that fires always."""
GRAFANA_MOUNTS: Final = {
    "deploy/grafana/provisioning": "/etc/grafana/provisioning",
    "deploy/grafana/dashboards": "/var/lib/grafana/dashboards",
}


class Watching:
    """What Prometheus, Alertmanager and Grafana of a composition say."""

    def __init__(self, house: Composition) -> None:
        self._house = house

    def rules(self) -> int:
        """How many rules Prometheus has; every one of the checkout, each evaluated, none with an error."""
        found: dict[str, list[dict[str, Any]]] = {
            group["name"]: group["rules"] for group in self._prometheus("/api/v1/rules")["groups"]
        }
        wanted = self._written()
        if {name: len(rules) for name, rules in found.items()} != wanted:
            raise DidNotHold(f"Prometheus has {[(name, len(rules)) for name, rules in found.items()]}, not {wanted}")
        wrong = [
            f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
            for rules in found.values()
            for rule in rules
            if rule["health"] != "ok" or rule.get("lastError")
        ]
        if wrong:
            raise DidNotHold("; ".join(wrong))
        return sum(wanted.values())

    def are_rules_evaluated(self) -> bool:
        """Whether each rule was evaluated once, well or not."""
        groups = self._prometheus("/api/v1/rules")["groups"]
        return bool(groups) and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])

    def targets(self) -> dict[str, int]:
        """How many targets each service has that answer, under the labels that the rules name."""
        return dict(
            Counter(
                target["labels"]["service"]
                for target in self._active()
                if target["labels"]["job"] == "aether" and target["health"] == "up"
            )
        )

    def down(self) -> list[str]:
        """Every target that does not answer, with why."""
        return [f"{target['labels']}: {target['lastError']}" for target in self._active() if target["health"] != "up"]

    def are_targets_up(self, replicas: dict[str, int]) -> bool:
        """Whether exactly these replicas answer, and nothing that is scraped does not."""
        wanted = dict.fromkeys(SERVICES, 1) | replicas
        return self.targets() == wanted and not self.down()

    def releases(self) -> set[str]:
        """The releases that the programs say they are of."""
        found = self._prometheus("/api/v1/query?query=aether_build_info")["result"]
        return {str(series["metric"]["version"]) for series in found}

    def firing(self) -> list[str]:
        """Alerts that fire, but for the one that always does."""
        alerts = self._prometheus("/api/v1/alerts")["alerts"]
        return sorted(
            f"{one['labels']['alertname']} ({one['annotations']['summary']})"
            for one in alerts
            if one["state"] == "firing" and one["labels"]["alertname"] != ALWAYS
        )

    def has_heartbeat_arrived(self) -> bool:
        """Whether Alertmanager has the alert that fires always: Prometheus reaches it."""
        alerts = self._asked("alertmanager", f"{ALERTMANAGER}/api/v2/alerts")
        return any(one["labels"]["alertname"] == ALWAYS for one in alerts)

    def dashboards(self) -> int:
        """How many files Grafana finds, each byte for byte the checkout's; and its source of data answers it."""
        number = 0
        for source, place in GRAFANA_MOUNTS.items():
            folder = self._house.checkout / source
            for path in sorted(one for one in folder.rglob("*") if one.is_file()):
                mounted = f"{place}/{path.relative_to(folder)}"
                told = self._house.compose("exec", "-T", "grafana", "sha256sum", mounted).split()
                if told[:1] != [hashlib.sha256(path.read_bytes()).hexdigest()]:
                    raise DidNotHold(f"Grafana finds another {mounted} than {source} has")
                number += 1
        sources = self._yaml("deploy/grafana/provisioning/datasources/prometheus.yaml")["datasources"]
        (source_of_data,) = (one for one in sources if one.get("isDefault"))
        self._house.compose("exec", "-T", "grafana", "wget", "-q", "-O", "-", f"{source_of_data['url']}/-/ready")
        (provider,) = self._yaml("deploy/grafana/provisioning/dashboards/aether.yaml")["providers"]
        if provider["options"]["path"] != GRAFANA_MOUNTS["deploy/grafana/dashboards"]:
            raise DidNotHold(f"Grafana looks for dashboards at {provider['options']['path']}, where nothing is mounted")
        return number

    def _written(self) -> dict[str, int]:
        """The groups of the checkout, and how many rules each has."""
        documents = [self._yaml(path) for path in sorted((self._house.checkout / "deploy/prometheus/rules").iterdir())]
        return {group["name"]: len(group["rules"]) for document in documents for group in document["groups"]}

    def _yaml(self, path: str | Path) -> Any:
        return YAML(typ="safe").load(self._house.checkout / path)

    def _active(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._prometheus("/api/v1/targets?state=active")["activeTargets"]
        return found

    def _prometheus(self, path: str) -> Any:
        return self._asked("prometheus", PROMETHEUS + path)["data"]

    def _asked(self, service: str, url: str) -> Any:
        return json.loads(self._house.compose("exec", "-T", service, "wget", "-q", "-O", "-", url))
