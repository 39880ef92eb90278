"""The one table of the bus: streams, consumers, requests, services, and the permissions that follow from them.

Everything else (the server's configuration, provisioning, the printed document, the tests that try every
forbidden act) is derived from these rows. Nothing here talks to a server. A row is never patched at run time.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

Environment = Literal["staging", "production"]
ENVIRONMENTS: Final[tuple[Environment, ...]] = ("staging", "production")
PROVISIONER: Final = "provisioner"
"""The only user that may create, change, purge or delete a stream or a consumer."""

MESSAGE_BYTES_MAX: Final = 1_048_576
"""The server's max_payload: body and headers of one message."""
FILE_STORE_BYTES_MAX: Final = 16 * 2**30
"""What one server may keep on disk. Each stream reserves its max_bytes, so their sum must stay below."""
MEMORY_STORE_BYTES_MAX: Final = 64 * 2**20
"""No stream lives in memory; the bound keeps an accidental one small."""

DAY_SECONDS: Final = 86_400
GIB: Final = 2**30
MIB: Final = 2**20

Role = Literal["viewer", "operator", "approver", "steward", "auditor", "admin"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "approver", "steward", "auditor", "admin")
"""A steward writes connectors and declares deltas; an admin says who has an account. Neither is ever an approver."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream: file storage and limits retention always, because only those remember message ids for sure."""

    name: str
    holds: str
    subjects: tuple[str, ...]
    max_bytes: int
    duplicate_window_seconds: int
    max_age_seconds: int = 0
    """0 keeps messages until max_bytes refuses new ones."""
    max_msg_bytes: int = MESSAGE_BYTES_MAX
    max_msgs_per_subject: int = -1
    discard: Literal["new", "old"] = "new"
    allow_atomic: bool = False
    allow_msg_ttl: bool = False
    deny_delete: bool = False
    allow_schedules: bool = False
    """Messages that the server itself publishes later, as their headers say."""
    is_async_when_single: bool = False
    """Acknowledge before the disk flush when there is one replica: only for what can be read again from its source."""


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """One durable pull consumer, provisioned apart from the programs that pull from it."""

    name: str
    service: str
    stream: str
    filters: tuple[str, ...]
    """Empty means every subject of the stream."""
    ack_wait_seconds: int = 8
    max_ack_pending: int = 64
    max_deliver: int = -1
    """-1: the server never gives up by itself; the delivery rule counts and writes dead letters."""


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """One subject on which people ask and a service answers."""

    subject: str
    service: str
    roles: tuple[Role, ...]


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service's user: the subjects it may write and the streams it may read by direct get."""

    name: str
    publishes: tuple[str, ...]
    reads: tuple[str, ...]
    hears: tuple[str, ...] = ()
    """Notes of other services, which no stream keeps: who misses one looks by itself."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the server is told about one user; everything not listed is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    may_respond: bool = False


STREAMS: Final[tuple[StreamSpec, ...]] = (
    StreamSpec(
        name="CORE",
        holds="run states, what holds for connectors, health of connections, commands, events, audit facts",
        subjects=(
            *("run.*.state", "connector.*.active", "connector.*.declared", "connection.*.health"),
            *("connector.*.schedule", "connector.*.promoted", "cmd.>", "evt.>", "audit.>"),
        ),
        max_bytes=3 * GIB,
        duplicate_window_seconds=DAY_SECONDS,
        allow_atomic=True,
        deny_delete=True,
    ),
    StreamSpec(
        name="LEDGER",
        holds="intents, outcomes and fences",
        subjects=("led.>",),
        max_bytes=3 * GIB,
        duplicate_window_seconds=DAY_SECONDS,
        allow_atomic=True,
        deny_delete=True,
    ),
    StreamSpec(
        name="PLAN",
        holds="plan headers and pages of changes; personal data, therefore aged",
        subjects=("plan.>",),
        max_bytes=3 * GIB,
        max_age_seconds=30 * DAY_SECONDS,
        duplicate_window_seconds=DAY_SECONDS,
        allow_atomic=True,
        deny_delete=True,
    ),
    StreamSpec(
        name="SNAP",
        holds="record batches by run, side, entity and partition; can be read again from the systems",
        subjects=("snap.>",),
        max_bytes=4 * GIB,
        max_age_seconds=3 * DAY_SECONDS,
        duplicate_window_seconds=120,
        allow_msg_ttl=True,
    ),
    StreamSpec(
        name="LEASE",
        holds="leases: one message a subject, gone when its time to live ends",
        subjects=("lease.>",),
        max_bytes=64 * MIB,
        max_msg_bytes=16_384,
        duplicate_window_seconds=120,
        max_msgs_per_subject=1,
        discard="old",
        allow_msg_ttl=True,
    ),
    StreamSpec(
        name="BUDGET",
        holds="rate budgets: one document a connection, which says when the next request may go out",
        subjects=("budget.>",),
        max_bytes=64 * MIB,
        max_msg_bytes=16_384,
        duplicate_window_seconds=120,
        max_msgs_per_subject=1,
        discard="old",
        is_async_when_single=True,
    ),
    StreamSpec(
        name="SCHED",
        holds="schedules, from which the server itself makes ticks when they are due",
        subjects=("sched.>", "tick.>"),
        max_bytes=64 * MIB,
        max_msg_bytes=16_384,
        duplicate_window_seconds=120,
        discard="old",  # the server makes no schedules where new ones may be refused
        allow_msg_ttl=True,
        allow_schedules=True,
    ),
    StreamSpec(
        name="DLQ",
        holds="dead letters: the message as it came, with the reason",
        subjects=("dlq.>",),
        max_bytes=1 * GIB,
        max_age_seconds=90 * DAY_SECONDS,
        duplicate_window_seconds=DAY_SECONDS,
        deny_delete=True,
    ),
)

CONSUMERS: Final[tuple[ConsumerSpec, ...]] = (
    ConsumerSpec("extractor", "extractor", "CORE", ("cmd.extract.>",)),
    ConsumerSpec("differ", "differ", "CORE", ("cmd.diff.>", "cmd.plan.>")),
    ConsumerSpec("extractor_ticks", "extractor", "SCHED", ("tick.>",)),
    # One message waits here for every plan that waits for a person.
    ConsumerSpec("differ_expiry", "differ", "CORE", ("cmd.expire.>",), max_ack_pending=1000),
    ConsumerSpec("differ_outcomes", "differ", "CORE", ("evt.applier.apply_finished.>",)),
    ConsumerSpec("applier", "applier", "CORE", ("cmd.apply.>",)),
    ConsumerSpec("applier_cancels", "applier", "CORE", ("evt.extractor.run_cancelled.>",)),
    ConsumerSpec("auditor_core", "auditor", "CORE", (), ack_wait_seconds=30, max_ack_pending=5000),
    ConsumerSpec("auditor_ledger", "auditor", "LEDGER", (), ack_wait_seconds=30, max_ack_pending=5000),
    ConsumerSpec("auditor_dlq", "auditor", "DLQ", (), ack_wait_seconds=30, max_ack_pending=5000),
)

REQUESTS: Final[tuple[RequestSpec, ...]] = (
    RequestSpec("aether.run.request", "extractor", ("operator",)),
    RequestSpec("aether.run.cancel", "extractor", ("operator",)),
    RequestSpec("aether.run.approve", "differ", ("approver",)),
    RequestSpec("aether.run.reject", "differ", ("approver",)),
    # Change ids and numbers, no value of a record.
    RequestSpec("aether.plan.subset", "differ", ("approver",)),
    RequestSpec("aether.run.pause", "applier", ("operator",)),
    RequestSpec("aether.run.resume", "applier", ("operator",)),
    RequestSpec("aether.run.retry", "applier", ("operator",)),
    RequestSpec("aether.guard.declare", "differ", ("steward",)),
    RequestSpec("aether.guard.withdraw", "differ", ("steward",)),
    RequestSpec("aether.guard.declared", "differ", ROLES),
    RequestSpec("aether.guard.history", "differ", ROLES),
    RequestSpec("aether.quarantine.items", "extractor", ROLES),
    RequestSpec("aether.connection.check", "extractor", ("operator", "steward")),
    # Names of settings and moments, no secret.
    RequestSpec("aether.connection.credentials", "extractor", ROLES),
    RequestSpec("aether.schedule.list", "extractor", ROLES),
    RequestSpec("aether.schedule.pause", "extractor", ("operator",)),
    RequestSpec("aether.schedule.resume", "extractor", ("operator",)),
    RequestSpec("aether.connector.promote", "extractor", ("steward",)),
    RequestSpec("aether.query.>", "auditor", ROLES),
    # Shows personal values of one change; a reason is asked for, and who looked is in the audit log first.
    RequestSpec("aether.reveal.change", "auditor", ("operator", "approver", "steward", "auditor")),
)

_RUN_STATE: Final = "run.*.state"
AUDIT_NOTE: Final = "note.auditor"
"""Says which runs changed, once that is in the auditor's database; kept by no stream."""
NOTES: Final[tuple[str, ...]] = (AUDIT_NOTE,)
"""What is published and kept by no stream."""


def _own(service: str) -> tuple[str, ...]:
    """What every service writes under its own name."""
    return (f"evt.{service}.>", f"audit.{service}.>", f"dlq.{service}.>")


SERVICES: Final[tuple[ServiceSpec, ...]] = (
    ServiceSpec(
        "extractor",
        (
            *(_RUN_STATE, "connector.*.active", "cmd.extract.>", "cmd.diff.>", "cmd.plan.>", "snap.>", "budget.>"),
            *("connector.*.schedule", "connector.*.promoted", "sched.>", *_own("extractor")),
        ),
        ("CORE", "SNAP", "BUDGET", "SCHED"),
    ),
    ServiceSpec(
        "differ",
        (
            *(_RUN_STATE, "connector.*.declared", "cmd.plan.>", "cmd.expire.>", "cmd.apply.>", "plan.>"),
            *("snap.*.residue.>", *_own("differ")),
        ),
        ("CORE", "SNAP", "PLAN", "LEDGER"),
    ),
    ServiceSpec(
        "applier",
        (
            *(_RUN_STATE, "connector.*.active", "connection.*.health", "cmd.apply.>", "led.>", "lease.target.>"),
            *("budget.>", *_own("applier")),
        ),
        ("CORE", "PLAN", "LEDGER", "LEASE", "BUDGET"),
    ),
    # The auditor proves what the others did; it can never move a run.
    ServiceSpec(
        "auditor", ("lease.auditor.>", AUDIT_NOTE, *_own("auditor")), ("CORE", "LEDGER", "PLAN", "DLQ", "LEASE")
    ),
    # The console shows and acts for people by their own commands; of its own it only says who signed in and the like.
    ServiceSpec("console", ("audit.console.>",), (), hears=(AUDIT_NOTE,)),
    # The monitor tells people and Prometheus what the auditor recorded; of its own it says whom it told.
    ServiceSpec("monitor", ("audit.monitor.>", "lease.monitor.>"), ("LEASE",), hears=(AUDIT_NOTE,)),
)

USER_INFO: Final = "$SYS.REQ.USER.INFO"
"""Where the server tells every user its own account."""

SERVICE_NAMES: Final[tuple[str, ...]] = tuple(service.name for service in SERVICES)
HOUSE_USERS: Final[tuple[str, ...]] = (*SERVICE_NAMES, PROVISIONER)


def house_account(environment: Environment) -> str:
    """Return the account of the services and of all streams of an environment."""
    return "_".join((environment.upper(), "HOUSE"))


def people_account(environment: Environment) -> str:
    """Return the account of people and of programs that act for them; it sees the requests and nothing else."""
    return "_".join((environment.upper(), "PEOPLE"))


def stream_spec(name: str) -> StreamSpec:
    """Return the row of a stream; KeyError when the table has none of that name."""
    return _STREAMS_BY_NAME[name]


def stream_of(subject: str) -> StreamSpec:
    """Return the stream that stores a subject; ValueError when none does, so a typing error never goes unheard."""
    for stream in STREAMS:
        if any(matches(pattern, subject) for pattern in stream.subjects):
            return stream
    raise ValueError(f"no stream of the table stores the subject {subject!r}")


def consumer_spec(name: str) -> ConsumerSpec:
    """Return the row of a consumer; KeyError when the table has none of that name."""
    return _CONSUMERS_BY_NAME[name]


def matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject (or a narrower pattern) lies wholly within a NATS pattern."""
    wanted, found = pattern.split("."), subject.split(".")
    for position, expected in enumerate(wanted):
        if expected == ">":
            return len(found) > position
        if position >= len(found) or found[position] == ">":
            return False
        if expected not in ("*", found[position]):
            return False
    return len(wanted) == len(found)


def subject_shape(subject: str) -> str:
    """Return the table's own name for a kind of subject (`cmd.diff`), bounded whatever ids the subject holds.

    For metric labels and span names; what the table does not know is `other`.
    """
    for pattern, shape in _SHAPES:
        if matches(pattern, subject):
            return shape
    return "inbox" if subject.startswith("_INBOX_") else "other"


def inbox_prefix(user: str) -> str:
    """Return the one inbox prefix of a user; different users never share or contain each other's.

    Everything but small letters, digits and hyphens is written as `_` and its code point, so that a dot or a
    wildcard in a person's name cannot widen the pattern.
    """
    return "_INBOX_" + re.sub(r"[^a-z0-9-]", lambda found: f"_{ord(found.group()):x}_", user)


def permissions_of_service(name: str) -> Permissions:
    """Derive the permissions of one service's user from the table; KeyError for an unknown service."""
    service = _SERVICES_BY_NAME[name]
    publish = [USER_INFO, *service.publishes]
    for consumer in (row for row in CONSUMERS if row.service == name):
        publish += [
            f"$JS.API.CONSUMER.INFO.{consumer.stream}.{consumer.name}",
            f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}",
            # The server answers with the first form today and announces the second (domain and account hash).
            f"$JS.ACK.{consumer.stream}.{consumer.name}.>",
            f"$JS.ACK.*.*.{consumer.stream}.{consumer.name}.>",
        ]
    for stream in service.reads:
        publish += [
            f"$JS.API.STREAM.INFO.{stream}",
            f"$JS.API.STREAM.MSG.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}",
        ]
    answers = tuple(request.subject for request in REQUESTS if request.service == name)
    subscribe = (f"{inbox_prefix(name)}.>", *answers, *service.hears)
    return Permissions(tuple(publish), subscribe, may_respond=bool(answers))


def permissions_of_provisioner() -> Permissions:
    """Derive the permissions of the provisioner: the whole JetStream interface and no subject that holds data.

    It also makes and restores backups: `$JS.SNAPSHOT` is where their pieces are acknowledged and handed back.
    """
    publish = (USER_INFO, "$JS.API.>", "$JS.SNAPSHOT.ACK.>", "$JS.SNAPSHOT.RESTORE.>")
    return Permissions(publish, (f"{inbox_prefix(PROVISIONER)}.>", "$JS.EVENT.ADVISORY.>"))


def permissions_of_house_user(name: str) -> Permissions:
    """Derive the permissions of any user of the services' account."""
    return permissions_of_provisioner() if name == PROVISIONER else permissions_of_service(name)


def permissions_of_person(name: str, roles: frozenset[Role]) -> Permissions:
    """Derive the permissions of a person: the requests of the roles held, and the person's own inbox."""
    publish = tuple(request.subject for request in REQUESTS if roles.intersection(request.roles))
    return Permissions(publish, (f"{inbox_prefix(name)}.>",))


def _shape(pattern: str) -> str:
    return ".".join(token for token in pattern.split(".") if token not in ("*", ">"))


def _shapes() -> tuple[tuple[str, str], ...]:
    """List every pattern of the table with its literal tokens, the most specific first."""
    patterns = {subject for stream in STREAMS for subject in stream.subjects}
    patterns |= {subject for service in SERVICES for subject in service.publishes}
    patterns |= {subject for consumer in CONSUMERS for subject in consumer.filters}
    patterns |= {request.subject for request in REQUESTS}
    ordered = sorted(patterns, key=lambda pattern: (-len(_shape(pattern).split(".")), pattern))
    return (*((pattern, _shape(pattern)) for pattern in ordered), ("$JS.>", "jetstream"))


_SHAPES: Final = _shapes()
_STREAMS_BY_NAME: Final = {row.name: row for row in STREAMS}
_CONSUMERS_BY_NAME: Final = {row.name: row for row in CONSUMERS}
_SERVICES_BY_NAME: Final = {row.name: row for row in SERVICES}
