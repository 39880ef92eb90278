"""What a Prometheus of the cluster makes of our pods: judged by promtool, and put together by kubectl's kustomize."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from deploy.kubernetes.programs import ADMIN_PORT, PROGRAMS
from deploy.kubernetes.scraping import NOT_OF_THE_OPERATOR, pod_monitor, prometheus_rules, scrape_configs
from deploy.kubernetes.write import HERE, documents
from deploy.prometheus.alerting import GROUPS

ROOT: Final = HERE.parents[1]
DOCUMENT: Final = ROOT / "docs/operations/kubernetes.md"
POD: Final = "__meta_kubernetes_pod"
NAMESPACE: Final = "aether-staging"
OF_A_REAL_PROMETHEUS: Final = {
    "__address__",
    "__metrics_path__",
    "__scheme__",
    "__scrape_interval__",
    "__scrape_timeout__",
}
"""Settings of the scrape, which no series has."""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not on this machine")


def pod(name: str, *, port: str = "admin", phase: str = "Running", part_of: str = "aether") -> dict[str, Any]:
    """A target as Prometheus discovers it: a port of a pod."""
    return {
        "targets": ["10.0.0.7:9100"],
        "labels": {
            "__meta_kubernetes_namespace": NAMESPACE,
            f"{POD}_name": f"{name}-5d4f",
            f"{POD}_phase": phase,
            f"{POD}_container_port_name": port,
            f"{POD}_label_app_kubernetes_io_name": name,
            f"{POD}_label_app_kubernetes_io_part_of": part_of,
        },
    }


PODS: Final = [pod(program.name) for program in PROGRAMS]
OTHERS: Final = [
    pod("console", port="pages"),
    pod("streams", phase="Succeeded"),
    pod("nats", part_of="nats"),
]


def labelled(steps: list[dict[str, Any]], pods: list[dict[str, Any]], folder: Path) -> list[dict[str, str]]:
    """The labels that Prometheus gives to the series of each pod that it keeps."""
    config = folder / "prometheus.json"
    job = {"job_name": "somewhere", "static_configs": pods, "relabel_configs": steps}
    config.write_text(json.dumps({"scrape_configs": [job]}), encoding="utf-8")
    command = ["promtool", "check", "service-discovery", "--timeout=2s", str(config), "somewhere"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)
    return [
        {name: text for name, text in target["labels"].items() if name not in OF_A_REAL_PROMETHEUS}
        for target in told
        if target["labels"]
    ]


def wanted() -> list[dict[str, str]]:
    return [
        {"job": "aether", "service": each.name, "namespace": NAMESPACE, "instance": f"{each.name}-5d4f:{ADMIN_PORT}"}
        for each in PROGRAMS
    ]


def by_service(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(found, key=lambda labels: labels["service"])


@needs("promtool")
def test_a_plain_prometheus_gives_each_program_the_labels_that_the_rules_name_and_scrapes_nothing_else(
    tmp_path: Path,
) -> None:
    ours, itself = scrape_configs()["scrape_configs"]
    assert by_service(labelled(ours["relabel_configs"], [*PODS, *OTHERS], tmp_path)) == by_service(wanted())
    assert ours["honor_labels"] is True
    assert ours["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]
    assert itself["job_name"] == "prometheus", "the heartbeat asks for it"


@needs("promtool")
def test_the_operators_form_ends_in_the_same_labels(tmp_path: Path) -> None:
    (endpoint,) = pod_monitor()["spec"]["podMetricsEndpoints"]
    steps = [
        {re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in step.items()}
        for step in endpoint["relabelings"]
    ]
    # With what the operator has given to a pod before our steps come.
    before = {"job": f"{NAMESPACE}/aether", "pod": "x-5d4f", "container": "x", "endpoint": "admin"}
    pods = [{**each, "labels": {**each["labels"], **before}} for each in PODS]
    assert by_service(labelled(steps, pods, tmp_path)) == by_service(wanted())
    assert endpoint["honorLabels"] is True and endpoint["port"] == "admin"


def test_every_pod_of_a_program_is_what_the_operators_object_selects() -> None:
    wanted_labels = pod_monitor()["spec"]["selector"]["matchLabels"].items()
    for program in PROGRAMS:
        objects = list(YAML(typ="safe").load_all(documents()[f"base/{program.name}.yaml"]))
        (template,) = (one["spec"]["template"] for one in objects if one["kind"] == "Deployment")
        assert wanted_labels <= template["metadata"]["labels"].items()
        assert "annotations" not in template["metadata"], "whoever scrapes by annotations would count everything twice"
        (container,) = template["spec"]["containers"]
        assert {"name": "admin", "containerPort": ADMIN_PORT} in container["ports"]


@needs("promtool")
def test_the_operator_gets_every_rule_but_the_heartbeat_as_promtool_reads_it(tmp_path: Path) -> None:
    found: list[str] = []
    for one in prometheus_rules():
        path = tmp_path / f"{one['metadata']['name']}.json"
        path.write_text(json.dumps(one["spec"]), encoding="utf-8")
        done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        found += [rule["alert"] for group in one["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    known = [alert.name for group in GROUPS for alert in group.alerts if alert.name not in NOT_OF_THE_OPERATOR]
    assert sorted(found) == sorted(known)


@needs("kubectl")
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_an_overlay_is_put_together_by_kustomize(environment: str) -> None:
    objects = kustomized(HERE / "overlays" / environment)
    assert {one["metadata"]["namespace"] for one in objects if one["kind"] != "Namespace"} == {f"aether-{environment}"}
    assert {one["kind"] for one in objects} >= {"Deployment", "Job", "ScaledObject", "NetworkPolicy"}
    assert not {"PodMonitor", "PrometheusRule"} & {one["kind"] for one in objects}, "not every cluster knows them"
    named = {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"}
    for deployment in (one for one in objects if one["kind"] == "Deployment"):
        for volume in deployment["spec"]["template"]["spec"]["volumes"]:
            assert "configMap" not in volume or volume["configMap"]["name"] in named


@needs("kubectl")
def test_the_overlay_that_the_document_shows_can_be_put_together(tmp_path: Path) -> None:
    (block,) = re.findall(
        r"^ +```yaml\n( +apiVersion: kustomize.*?)^ +```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    text = textwrap.dedent(block)
    copied = tmp_path / "checkout" / "deploy" / "kubernetes"
    shutil.copytree(HERE, copied, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    district = tmp_path / "district"
    district.mkdir()
    (district / "kustomization.yaml").write_text(text, encoding="utf-8")
    for name in ("calendar.yaml", "notices.yaml"):
        shutil.copy(ROOT / "deploy/compose/house" / name, district)
    objects = kustomized(district)
    assert {"PodMonitor", "PrometheusRule"} <= {one["kind"] for one in objects}
    assert {one["metadata"]["namespace"] for one in objects if one["kind"] != "Namespace"} == {"aether-production"}
    (house,) = (one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"].startswith("house-"))
    assert house["data"]["notices.yaml"] == (district / "notices.yaml").read_text()
    for name, setting in (("console", "AETHER_PUBLIC_URL"), ("monitor", "AETHER_CONSOLE_URL")):
        (deployment,) = (one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == name)
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        (value,) = (row["value"] for row in container["env"] if row["name"] == setting)
        assert value == "https://sync.district.example"
        assert "@sha256:" in container["image"]


def kustomized(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(YAML(typ="safe").load_all(done.stdout))
