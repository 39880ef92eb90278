"""How a Prometheus of the cluster finds the programs, and under which labels: as objects of its operator and as text.

The rules of deploy/prometheus name `job` and `service`, and count series that differ in `instance` alone as one: so a
pod has these three labels and its namespace, and no other. Both forms are made from one list of steps. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML

from deploy.kubernetes.objects import PART_OF, Object, metadata
from deploy.kubernetes.programs import ADMIN_PORT
from deploy.prometheus.write import documents as rule_files

JOB: Final = "aether"
INTERVAL: Final = "15s"
NAMESPACE: Final = "aether-staging"
"""Of which house the plain text is; the operator's objects are of the namespace that they stand in."""
NOT_OF_THE_OPERATOR: Final = frozenset({"Heartbeat"})
"""It asks whether the job `prometheus` is up: under the operator that has other names, and `Watchdog` fires always."""
_POD: Final = "__meta_kubernetes_pod"
_OURS: Final = f"{_POD}_label_app_kubernetes_io_part_of"
_LABELS: Final[tuple[dict[str, Any], ...]] = (
    {"action": "replace", "source_labels": [f"{_POD}_label_app_kubernetes_io_name"], "target_label": "service"},
    {"action": "replace", "target_label": "job", "replacement": JOB},
    {"action": "replace", "source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    # Speaks to people, and is another for each pod as its address would be.
    {
        "action": "replace",
        "source_labels": [f"{_POD}_name"],
        "target_label": "instance",
        "replacement": f"$1:{ADMIN_PORT}",
    },
    {"action": "labeldrop", "regex": "pod|container|endpoint"},
)
"""What the operator names besides is taken away: a replaced pod would otherwise be counted beside its successor."""
_WHICH: Final[tuple[dict[str, Any], ...]] = (
    {"action": "keep", "source_labels": [_OURS], "regex": PART_OF},
    {"action": "keep", "source_labels": [f"{_POD}_container_port_name"], "regex": "admin"},
    {"action": "drop", "source_labels": [f"{_POD}_phase"], "regex": "Succeeded|Failed"},
)
"""What the operator does by itself: our pods, their admin port, and none that has ended."""


def scrape_configs(namespace: str = NAMESPACE) -> Object:
    """The jobs of a plain Prometheus: the programs, and itself, which the heartbeat asks for."""
    return {
        "scrape_configs": [
            {
                "job_name": JOB,
                "scrape_interval": INTERVAL,
                # aether_build_info says itself of which service it is.
                "honor_labels": True,
                "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [namespace]}}],
                "relabel_configs": [dict(step) for step in (*_WHICH, *_LABELS)],
            },
            {"job_name": "prometheus", "static_configs": [{"targets": ["127.0.0.1:9090"]}]},
        ]
    }


def pod_monitor() -> Object:
    """The same for Prometheus's operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(JOB),
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/part-of": PART_OF}},
            "podMetricsEndpoints": [
                {
                    "port": "admin",
                    "path": "/metrics",
                    "interval": INTERVAL,
                    "honorLabels": True,
                    "relabelings": [{_camel(key): value for key, value in step.items()} for step in _LABELS],
                }
            ],
        },
    }


def prometheus_rules() -> Iterator[Object]:
    """The rules of deploy/prometheus, an object a file."""
    for name, text in rule_files().items():
        folder, _, file = name.partition("/")
        if folder != "rules":
            continue
        groups = YAML(typ="safe").load(text)["groups"]
        for group in groups:
            group["rules"] = [rule for rule in group["rules"] if rule.get("alert") not in NOT_OF_THE_OPERATOR]
        yield {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": metadata(JOB, suffix=f"-{file.removesuffix('.yml')}"),
            "spec": {"groups": groups},
        }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
