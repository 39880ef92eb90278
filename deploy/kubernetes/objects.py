"""The Kubernetes objects of a program, as plain values. Pure.

Every pod is as bounded as the restricted profile of pod security wants it: no root, no capability, nothing written
beside its own small folders, no token of the cluster. What nobody allowed cannot be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploy.kubernetes.programs import (
    ADMIN_PORT,
    COMMON,
    CONSOLE_PORT,
    DEFINITIONS_FOLDER,
    GRACE_SECONDS,
    HOUSE_FOLDER,
    SECRETS_FOLDER,
    Program,
    Task,
)
from shared.bus.topology import consumer_spec

Object = dict[str, Any]

PART_OF: Final = "aether"
REVISIONS_KEPT: Final = 5
TASK_SECONDS_MAX: Final = 600
"""After this long a Job counts as failed."""
TASK_KEPT_SECONDS: Final = 86_400
_USER: Final = 10_001
_PORTS: Final[Mapping[str, tuple[int, ...]]] = {
    "bus": (4222,),
    "bus-figures": (8222,),
    "databases": (5432,),
    "outside": (443, 587, 1433, 22),
}
"""What is reached where: TLS, mail, SQL Server and SFTP outside."""
_PEERS: Final[Mapping[str, str]] = {"bus": "nats", "bus-figures": "nats", "databases": "postgres"}


def objects_of(program: Program) -> Iterator[Object]:
    """Everything that one program consists of."""
    yield service_account(program.name)
    yield deployment(program)
    yield admin_service(program)
    if program.has_pages:
        yield pages_service(program)
    if program.replicas > 1:
        yield disruption_budget(program)
    yield network_policy(program.name, program.speaks_with, has_pages=program.has_pages)
    if program.scaling is not None:
        yield scaled_object(program)


def job_of(task: Task) -> Iterator[Object]:
    """Everything that one task consists of."""
    yield service_account(task.name)
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(task.name),
        "spec": {
            "backoffLimit": 6,
            "activeDeadlineSeconds": TASK_SECONDS_MAX,
            "ttlSecondsAfterFinished": TASK_KEPT_SECONDS,
            "template": {
                "metadata": {"labels": labels(task.name)},
                "spec": {
                    **_pod(task.name),
                    "restartPolicy": "OnFailure",
                    "containers": [
                        {
                            **_container(task.name, task.image, task.settings),
                            "args": list(task.arguments),
                            "resources": _resources("100m", "512Mi"),
                        }
                    ],
                    "volumes": _volumes(task.name),
                },
            },
        },
    }
    yield network_policy(task.name, task.speaks_with)


def labels(name: str) -> dict[str, str]:
    """Labels of everything that belongs to one program."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": PART_OF}


def metadata(name: str, *, suffix: str = "") -> Object:
    """Name and labels."""
    return {"name": f"{name}{suffix}", "labels": labels(name)}


def service_account(name: str) -> Object:
    """An account of its own, which may ask the cluster nothing."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(name),
        "automountServiceAccountToken": False,
    }


def deployment(program: Program) -> Object:
    """The program's pods."""
    probe = {"periodSeconds": 10, "timeoutSeconds": 5}
    container = {
        **_container(program.name, program.name, {**COMMON, **program.settings}),
        "ports": [
            {"name": "admin", "containerPort": ADMIN_PORT},
            *([{"name": "pages", "containerPort": CONSOLE_PORT}] if program.has_pages else []),
        ],
        # Restarted only when its event loop stands still; without the bus it waits, and is not ready.
        "startupProbe": {**_asks("/livez"), "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {**_asks("/livez"), **probe, "failureThreshold": 6},
        "readinessProbe": {**_asks("/readyz"), **probe, "failureThreshold": 2},
        "resources": _resources(program.cpu, program.memory),
    }
    mounts, volumes = container["volumeMounts"], _volumes(program.name)
    if program.has_definitions:
        mounts.append({"name": "definitions", "mountPath": DEFINITIONS_FOLDER, "readOnly": True})
        volumes.append({"name": "definitions", "persistentVolumeClaim": {"claimName": "definitions", "readOnly": True}})
    if program.has_house_documents:
        mounts.append({"name": "house", "mountPath": HOUSE_FOLDER, "readOnly": True})
        volumes.append({"name": "house", "configMap": {"name": "house"}})
    if program.scratch is not None:
        mounts.append({"name": "scratch", "mountPath": "/var/lib/aether"})
        volumes.append({"name": "scratch", "emptyDir": {"sizeLimit": program.scratch}})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(program.name),
        "spec": {
            # Where the number is KEDA's, nothing is said here, or each apply would set it back.
            **({} if program.scaling is not None else {"replicas": program.replicas}),
            "revisionHistoryLimit": REVISIONS_KEPT,
            "strategy": (
                {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
                if program.replaces_itself
                else {"type": "Recreate"}
            ),
            "selector": {"matchLabels": labels(program.name)},
            "template": {
                # No annotation asks to be scraped: who goes by those gives figures another job and other labels, and no
                # alert would fire (deploy/kubernetes/scraping.py has what is needed).
                "metadata": {"labels": labels(program.name)},
                "spec": {
                    **_pod(program.name),
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                    "containers": [container],
                    "volumes": volumes,
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": labels(program.name)},
                        }
                    ],
                },
            },
        },
    }


def admin_service(program: Program) -> Object:
    """Where Prometheus finds each of the program's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(program.name, suffix="-admin"),
        "spec": {
            "clusterIP": "None",
            "selector": labels(program.name),
            "ports": [{"name": "admin", "port": ADMIN_PORT, "targetPort": "admin"}],
            "publishNotReadyAddresses": True,
        },
    }


def pages_service(program: Program) -> Object:
    """Where an ingress finds the pages; the ingress is the overlay's, and ends TLS."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(program.name),
        "spec": {
            "selector": labels(program.name),
            "ports": [{"name": "pages", "port": 80, "targetPort": "pages"}],
        },
    }


def disruption_budget(program: Program) -> Object:
    """Of a program with several pods, one at a time is taken away for a node's sake."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(program.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(program.name)}},
    }


def network_policy(name: str, speaks_with: tuple[str, ...], *, has_pages: bool = False) -> Object:
    """Who may reach a program, and whom it may reach; nobody else."""
    incoming: list[Object] = [
        {
            "from": [{"namespaceSelector": {"matchLabels": {"aether.monitoring": "true"}}}],
            "ports": [{"protocol": "TCP", "port": ADMIN_PORT}],
        }
    ]
    if has_pages:
        incoming.append(
            {
                "from": [{"namespaceSelector": {"matchLabels": {"aether.ingress": "true"}}}],
                "ports": [{"protocol": "TCP", "port": CONSOLE_PORT}],
            }
        )
    outgoing: list[Object] = [
        {
            "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
            "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
        }
    ]
    for peer in speaks_with:
        to: list[Object] = (
            [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": _PEERS[peer]}}}]
            if peer in _PEERS
            # Not the cluster's own addresses: an outside system is outside.
            else [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]
        )
        outgoing.append({"to": to, "ports": [{"protocol": "TCP", "port": port} for port in _PORTS[peer]]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name),
        "spec": {
            "podSelector": {"matchLabels": labels(name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": incoming,
            "egress": outgoing,
        },
    }


def scaled_object(program: Program) -> Object:
    """Replicas by what waits on the bus (KEDA's scaler for JetStream); the account is the overlay's."""
    scaling = program.scaling
    assert scaling is not None, "only a program that scales is asked"  # noqa: S101 -- a boundary of ours
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata(program.name),
        "spec": {
            "scaleTargetRef": {"name": program.name},
            "minReplicaCount": program.replicas,
            "maxReplicaCount": scaling.replicas_max,
            "pollingInterval": 5,
            "cooldownPeriod": 300,
            "triggers": [
                {
                    "type": "nats-jetstream",
                    "metadata": {
                        "natsServerMonitoringEndpoint": "nats:8222",
                        "account": "STAGING_HOUSE",
                        "stream": consumer_spec(name).stream,
                        "consumer": name,
                        "lagThreshold": str(scaling.lag),
                        "activationLagThreshold": "0",
                        "useHttps": "false",
                    },
                }
                for name in scaling.consumers
            ],
        },
    }


def definitions_claim() -> Object:
    """The folder of connectors, which whoever publishes releases fills, and programs only read."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "definitions", "labels": {"app.kubernetes.io/part-of": PART_OF}},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def deny_all() -> Object:
    """What no policy allows is refused, for every pod of the namespace."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-all", "labels": {"app.kubernetes.io/part-of": PART_OF}},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }


def namespace() -> Object:
    """The namespace, in which only pods of the restricted profile are admitted."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "aether",
            "labels": {
                "app.kubernetes.io/part-of": PART_OF,
                **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")},
            },
        },
    }


def _pod(name: str) -> Object:
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _container(name: str, image: str, settings: Mapping[str, str]) -> Object:
    return {
        "name": name,
        "image": f"aether/{image}",
        "imagePullPolicy": "IfNotPresent",
        # The environment is the same for every pod of an overlay and stands in one place.
        "envFrom": [{"configMapRef": {"name": "environment"}}],
        "env": [{"name": key, "value": value} for key, value in sorted(settings.items())],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- the pod's own
        ],
    }


def _volumes(name: str) -> list[Object]:
    return [
        {"name": "secrets", "secret": {"secretName": f"aether-{name}", "defaultMode": 0o440}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]


def _resources(cpu: str, memory: str) -> Object:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def _asks(path: str) -> Object:
    return {"httpGet": {"path": path, "port": "admin"}}
