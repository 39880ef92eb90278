"""What each program of the house needs on Kubernetes: settings, room, replicas, whom it may speak with. Pure data.

Names of settings are those of the programs' own models, names of consumers those of the bus's table; tests hold them
together. Secrets are files of one Kubernetes Secret a program, made and renewed by whoever keeps secrets there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ADMIN_PORT: Final = 9100
CONSOLE_PORT: Final = 8080
SECRETS_FOLDER: Final = "/run/aether"
"""Where the files of a program's Secret stand."""
DEFINITIONS_FOLDER: Final = "/definitions"
HOUSE_FOLDER: Final = "/run/house"
"""Where the house's own documents stand: no secrets."""
HOUSE_DOCUMENTS: Final[Mapping[str, str]] = {
    "calendar.yaml": "time_zone: America/Los_Angeles",
    "notices.yaml": "channels: []",
}
"""With which a house begins: every day is alike, and nobody is told."""
PUBLIC_URL: Final = "https://aether.example.org"
"""To be replaced by what the district's browsers see."""
GRACE_SECONDS: Final = 30
"""Longer than a program takes to hand over its work and leave the bus."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Between which numbers replicas are chosen, by what waits in the consumers."""

    consumers: tuple[str, ...]
    replicas_max: int
    lag: int
    """Messages that wait for each replica before there is another."""


@dataclass(frozen=True, slots=True)
class Program:
    """One Deployment."""

    name: str
    settings: Mapping[str, str]
    memory: str
    cpu: str
    """What is asked for; memory is bounded by the same number, processors are not."""
    replicas: int = 2
    scaling: Scaling | None = None
    scratch: str | None = None
    """Size of the folder for passing files under /var/lib/aether; None: none."""
    speaks_with: tuple[str, ...] = ("bus",)
    """Of `bus`, `bus-figures`, `databases` and `outside`."""
    has_definitions: bool = False
    has_house_documents: bool = False
    has_pages: bool = False
    replaces_itself: bool = True
    """Whether a new one may stand beside the old one during a change."""


def _database(role: str, database: str) -> str:
    return (
        f"postgresql+psycopg://{role}@postgres:5432/{database}"
        f"?sslmode=verify-full&sslrootcert={SECRETS_FOLDER}/authority.pem"
    )


COMMON: Final[Mapping[str, str]] = {
    "AETHER_NATS_URL": "tls://nats:4222",
    "AETHER_NATS_CA": f"{SECRETS_FOLDER}/authority.pem",
    "AETHER_NATS_PASSWORD": f"file:{SECRETS_FOLDER}/bus.password",
    "AETHER_ADMIN_HOST": "0.0.0.0",  # noqa: S104 -- within its pod; the network policy says who reaches it
    "AETHER_ADMIN_PORT": str(ADMIN_PORT),
    "AETHER_LOG_LEVEL": "info",
}
"""Settings of every program; `AETHER_ENVIRONMENT` is the overlay's."""

PROGRAMS: Final[tuple[Program, ...]] = (
    Program(
        "extractor",
        {
            "AETHER_CONNECTORS": DEFINITIONS_FOLDER,
            "AETHER_CONNECTIONS": f"{SECRETS_FOLDER}/connections.yaml",
            "AETHER_CALENDAR": f"{HOUSE_FOLDER}/calendar.yaml",
            "AETHER_SPILL_FOLDER": "/var/lib/aether",
            "AETHER_SIDES_AT_ONCE": "1",
        },
        memory="2Gi",
        cpu="500m",
        scaling=Scaling(("extractor",), replicas_max=6, lag=2),
        scratch="20Gi",
        speaks_with=("bus", "outside"),
        has_definitions=True,
        has_house_documents=True,
    ),
    Program(
        "differ",
        {
            "AETHER_CONNECTORS": DEFINITIONS_FOLDER,
            "AETHER_CONNECTIONS": f"{SECRETS_FOLDER}/connections.yaml",
            "AETHER_IDENTITIES": f"{SECRETS_FOLDER}/identities.json",
            "AETHER_COMMITMENT_KEY": f"file:{SECRETS_FOLDER}/commitment.key",
            "AETHER_DATABASE_URL": _database("aether_differ", "aether_differ"),
            "AETHER_DATABASE_PASSWORD": f"file:{SECRETS_FOLDER}/database.password",
        },
        memory="2Gi",
        cpu="500m",
        scaling=Scaling(("differ",), replicas_max=8, lag=4),
        speaks_with=("bus", "databases"),
        has_definitions=True,
    ),
    Program(
        "applier",
        {
            "AETHER_CONNECTIONS": f"{SECRETS_FOLDER}/connections.yaml",
            "AETHER_IDENTITIES": f"{SECRETS_FOLDER}/identities.json",
        },
        memory="1Gi",
        cpu="500m",
        scaling=Scaling(("applier",), replicas_max=6, lag=1),
        speaks_with=("bus", "outside"),
    ),
    # One writes, another waits for its lease.
    Program(
        "auditor",
        {
            "AETHER_SIGNING_KEY": f"file:{SECRETS_FOLDER}/audit-signing.pem",
            "AETHER_DATABASE_URL": _database("aether_auditor", "aether_auditor"),
            "AETHER_DATABASE_PASSWORD": f"file:{SECRETS_FOLDER}/database.password",
        },
        memory="1Gi",
        cpu="500m",
        speaks_with=("bus", "databases"),
    ),
    Program(
        "console",
        {
            "AETHER_CONNECTORS": DEFINITIONS_FOLDER,
            "AETHER_SYSTEMS": "/app/systems",
            "AETHER_CONNECTIONS": f"{SECRETS_FOLDER}/connections.yaml",
            "AETHER_IDENTITIES": f"{SECRETS_FOLDER}/identities.json",
            "AETHER_PROFILES": f"{SECRETS_FOLDER}/profiles",
            "AETHER_SESSION_KEY": f"file:{SECRETS_FOLDER}/session.key",
            "AETHER_CONSOLE_HOST": "0.0.0.0",  # noqa: S104 -- within its pod
            "AETHER_CONSOLE_PORT": str(CONSOLE_PORT),
            "AETHER_PUBLIC_URL": PUBLIC_URL,
            "AETHER_DATABASE_URL": _database("aether_console", "aether_console"),
            "AETHER_DATABASE_PASSWORD": f"file:{SECRETS_FOLDER}/database.password",
            "AETHER_AUDIT_DATABASE_URL": _database("aether_console_audit", "aether_auditor"),
            "AETHER_AUDIT_DATABASE_PASSWORD": f"file:{SECRETS_FOLDER}/audit-database.password",
        },
        memory="1Gi",
        cpu="250m",
        speaks_with=("bus", "databases", "outside"),  # outside: the identity provider
        has_definitions=True,
        has_pages=True,
    ),
    # One: two would give every figure twice.
    Program(
        "monitor",
        {
            "AETHER_AUDIT_DATABASE_URL": _database("aether_monitor_audit", "aether_auditor"),
            "AETHER_AUDIT_DATABASE_PASSWORD": f"file:{SECRETS_FOLDER}/audit-database.password",
            "AETHER_NOTICES": f"{HOUSE_FOLDER}/notices.yaml",
            "AETHER_CONSOLE_URL": PUBLIC_URL,
            "AETHER_BUS_MONITORING_URLS": ",".join(
                f"nats-{each}=http://nats-{each}.nats-headless:8222" for each in range(3)
            ),
        },
        memory="512Mi",
        cpu="100m",
        replicas=1,
        speaks_with=("bus", "bus-figures", "databases", "outside"),  # outside: where notices go
        has_house_documents=True,
        replaces_itself=False,
    ),
)


@dataclass(frozen=True, slots=True)
class Task:
    """One Job that must be done before the programs of a release start."""

    name: str
    image: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    speaks_with: tuple[str, ...] = ("databases",)


TASKS: Final[tuple[Task, ...]] = (
    Task(
        "streams",
        "tools",
        ("deploy.setup.streams",),
        {"AETHER_BUS_REPLICAS": "3", "AETHER_NATS_URL": COMMON["AETHER_NATS_URL"]},
        speaks_with=("bus",),
    ),
    *(
        Task(
            f"{service}-tables",
            service,
            ("deploy.postgres.migrate", service),
            {
                "AETHER_DATABASE_URL": _database(f"aether_{service}_owner", f"aether_{service}"),
                "AETHER_DATABASE_PASSWORD": f"file:{SECRETS_FOLDER}/database.password",
            },
        )
        for service in ("differ", "auditor", "console")
    ),
)
