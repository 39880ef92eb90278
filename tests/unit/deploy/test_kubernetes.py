"""The kustomize base: as the description has it, valid by the API's own schemas, and within the walls."""

from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from deploy.documents.settings import SETTINGS, variable
from deploy.kubernetes.programs import ADMIN_PORT, GRACE_SECONDS, PROGRAMS, TASKS
from deploy.kubernetes.write import HERE, documents
from shared.bus.program import DRAIN_SECONDS, LEAVE_SECONDS
from shared.bus.topology import CONSUMERS, ENVIRONMENTS, house_account

VERSIONS = ("1.31", "1.35")
"""Of Kubernetes: an old one that clusters still have, and a new one."""
# The fields of KEDA's v1alpha1 that we use, closed: a mistyped one must not be taken for nothing.
SCALED_OBJECT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["scaleTargetRef", "triggers"],
    "properties": {
        "scaleTargetRef": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {"name": {"type": "string"}},
        },
        "minReplicaCount": {"type": "integer", "minimum": 1},
        "maxReplicaCount": {"type": "integer"},
        "pollingInterval": {"type": "integer"},
        "cooldownPeriod": {"type": "integer"},
        "triggers": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["type", "metadata"],
                "properties": {
                    "type": {"const": "nats-jetstream"},
                    "metadata": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold"],
                        "properties": {
                            name: {"type": "string"}
                            for name in (
                                "natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold",
                                "activationLagThreshold", "useHttps",
                            )
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip

# Likewise the fields of the Prometheus operator's v1 that we use.
POD_MONITOR: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["selector", "podMetricsEndpoints"],
    "properties": {
        "selector": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"matchLabels": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
        "podMetricsEndpoints": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "port": {"type": "string"},
                    "path": {"type": "string"},
                    "interval": {"type": "string", "pattern": "^[0-9]+s$"},
                    "honorLabels": {"type": "boolean"},
                    "relabelings": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["action"],
                            "properties": {
                                "action": {"enum": ["replace", "keep", "drop", "labeldrop"]},
                                "sourceLabels": {"type": "array", "items": {"type": "string"}},
                                "targetLabel": {"type": "string"},
                                "replacement": {"type": "string"},
                                "regex": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
    },
}
PROMETHEUS_RULE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["groups"],
    "properties": {
        "groups": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "rules"],
                "properties": {
                    "name": {"type": "string"},
                    "rules": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["expr"],
                            "properties": {
                                "record": {"type": "string"},
                                "alert": {"type": "string"},
                                "expr": {"type": "string"},
                                "for": {"type": "string"},
                                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                                "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
                            },
                        },
                    },
                },
            },
        },
    },
}
OF_OTHERS = {"ScaledObject": SCALED_OBJECT, "PodMonitor": POD_MONITOR, "PrometheusRule": PROMETHEUS_RULE}


def parsed(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(text))


# What stands in a cluster; `prometheus/` holds plain text for a Prometheus.
OBJECTS = [
    one
    for name, text in documents().items()
    if "kustomization" not in name and not name.startswith("prometheus/")
    for one in parsed(text)
]
NAMED = [f"{one['kind']}-{one['metadata']['name']}" for one in OBJECTS]
WORKLOADS = [one for one in OBJECTS if one["kind"] in ("Deployment", "Job")]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == kind}


def test_every_file_is_current() -> None:
    for name, text in documents().items():
        assert (HERE / name).read_text(encoding="utf-8") == text, f"{name} is out of date; run: make documents"


@pytest.mark.parametrize("one", OBJECTS, ids=NAMED)
def test_every_object_is_valid_strictly(one: dict[str, Any]) -> None:
    if (closed := OF_OTHERS.get(one["kind"])) is not None:
        jsonschema.validate(one["spec"], closed)
        return
    for version in VERSIONS:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_mistyped_field_is_refused() -> None:
    deployment = of_kind("Deployment")["differ"]
    wrong = {**deployment, "spec": {**deployment["spec"], "replicaCount": 3}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**of_kind("ScaledObject")["differ"]["spec"], "maxReplicas": 3}, SCALED_OBJECT)


@pytest.mark.parametrize("one", WORKLOADS, ids=lambda one: one["metadata"]["name"])
def test_every_pod_keeps_the_restricted_profile_and_more(one: dict[str, Any]) -> None:
    pod = one["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == one["metadata"]["name"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert {"emptyDir", "secret", "configMap", "persistentVolumeClaim"} >= {
        kind for volume in pod["volumes"] for kind in volume if kind != "name"
    }
    # Each its own secret, and nobody else's.
    secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    assert secrets == [f"aether-{one['metadata']['name']}"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.name)
def test_every_program_is_probed_drained_and_told_what_it_knows(program: Any) -> None:
    pod = of_kind("Deployment")[program.name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    asked = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert {"name": "admin", "containerPort": ADMIN_PORT} in container["ports"]
    assert pod["terminationGracePeriodSeconds"] == GRACE_SECONDS > DRAIN_SECONDS + 2 * LEAVE_SECONDS
    model = SETTINGS[program.name]
    given = {row["name"] for row in container["env"]}
    assert given <= {variable(name) for name in model.model_fields}
    required = {variable(name) for name, field in model.model_fields.items() if field.is_required()}
    assert required <= given, f"{program.name} would not start without {sorted(required - given)}"


def test_programs_with_several_pods_have_a_budget_and_a_policy_each() -> None:
    assert set(of_kind("PodDisruptionBudget")) == {program.name for program in PROGRAMS if program.replicas > 1}
    policies = of_kind("NetworkPolicy")
    assert set(policies) == {"deny-all", *(each.name for each in PROGRAMS), *(each.name for each in TASKS)}
    assert policies["deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    reached = {
        name: {port["port"] for rule in policy["spec"].get("egress", ()) for port in rule["ports"]}
        for name, policy in policies.items()
    }
    assert 5432 not in reached["applier"]
    assert 5432 not in reached["extractor"]
    assert 443 not in reached["auditor"]
    assert 443 not in reached["differ"]


def test_what_waits_is_counted_at_consumers_that_there_are() -> None:
    known = {(consumer.stream, consumer.name, consumer.service) for consumer in CONSUMERS}
    for name, scaled in of_kind("ScaledObject").items():
        assert "replicas" not in of_kind("Deployment")[name]["spec"]
        for trigger in scaled["spec"]["triggers"]:
            assert (trigger["metadata"]["stream"], trigger["metadata"]["consumer"], name) in known


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_overlay_is_of_one_environment_throughout(environment: Any) -> None:
    (overlay,) = parsed(documents()[f"overlays/{environment}/kustomization.yaml"])
    (generated,) = overlay["configMapGenerator"]
    assert generated["literals"] == [f"AETHER_ENVIRONMENT={environment}"]
    patched = {patch["target"]["name"] for patch in overlay["patches"]}
    assert patched == set(of_kind("ScaledObject"))
    assert all(f"value: {house_account(environment)}\n" in patch["patch"] for patch in overlay["patches"])
    (base,) = parsed(documents()["base/kustomization.yaml"])
    assert all((HERE / "base" / name).is_file() for name in base["resources"])
    assert {HERE / "base"} == {(HERE / "overlays" / environment / path).resolve() for path in overlay["resources"]}
