"""Brings the server's streams and consumers to what the table says, and proves that they are.

Idempotent: a second call changes nothing. It never deletes or purges; what the server has and the table has not
is reported. It runs as the provisioner, before the services and apart from them, because a client library that
creates what it finds missing also silently keeps, or overwrites, what it finds different.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from shared.bus.topology import CONSUMERS, STREAMS, ConsumerSpec, StreamSpec

Setting = str | int | float | bool | tuple[str, ...] | None
"""A setting in comparable form: enums as their text, lists sorted, seconds as numbers."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting whose value on the server is not the table's."""

    place: str
    setting: str
    wanted: Setting
    found: Setting

    def __str__(self) -> str:
        return f"{self.place}: {self.setting} should be {self.wanted!r} and is {self.found!r}"


class DriftError(Exception):
    """The server keeps a setting that differs from the table and could not be changed in place."""

    def __init__(self, differences: list[Difference], cause: str) -> None:
        self.differences = tuple(differences)
        listed = "; ".join(str(difference) for difference in differences) or "no visible difference"
        super().__init__(
            f"{listed}. The server said: {cause}. Change the setting by hand (back up, recreate) or correct the table."
        )


@dataclass(slots=True)
class ProvisionReport:
    """What a call did, by place (`CORE` for a stream, `CORE/differ` for a consumer)."""

    created: list[str] = field(default_factory=list)
    updated: list[Difference] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """On the server, not in the table: left alone; an old release's, or a stranger's."""


async def provision(
    js: JetStreamContext, replicas: int = 1, consumers: Sequence[ConsumerSpec] = CONSUMERS
) -> ProvisionReport:
    """Add or update every stream and consumer of the table; DriftError names what would not change."""
    report = ProvisionReport()
    for stream in STREAMS:
        await _provision_stream(js, stream, replicas, report)
    for consumer in consumers:
        await _provision_consumer(js, consumer, report)
    await _list_unknown(js, report)
    return report


async def differences(js: JetStreamContext, replicas: int = 1) -> list[Difference]:
    """Compare the server with the table and change nothing; a missing stream or consumer is a difference too."""
    found: list[Difference] = []
    for stream in STREAMS:
        existing = await _existing_stream(js, stream.name)
        found += _compare(stream.name, stream_settings(stream, replicas), existing)
    for consumer in CONSUMERS:
        found += _compare(_place(consumer), consumer_settings(consumer), await _existing_consumer(js, consumer))
    return found


def stream_settings(spec: StreamSpec, replicas: int) -> dict[str, Setting]:
    """Return every setting of a stream that we state, in comparable form."""
    is_async = spec.is_async_when_single and replicas == 1
    return {
        "subjects": tuple(sorted(spec.subjects)),
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas,
        "discard": spec.discard,
        "max_bytes": spec.max_bytes,
        "max_age": float(spec.max_age_seconds),
        "max_msg_size": spec.max_msg_bytes,
        "max_msgs": -1,
        "max_msgs_per_subject": spec.max_msgs_per_subject,
        "duplicate_window": float(spec.duplicate_window_seconds),
        "allow_atomic": spec.allow_atomic,
        "allow_msg_ttl": spec.allow_msg_ttl,
        "allow_msg_schedules": spec.allow_schedules,
        "allow_direct": True,
        "deny_delete": spec.deny_delete,
        "deny_purge": False,
        # A schedule replaces the one before it on its subject, which the server allows where rollups are.
        "allow_rollup_hdrs": spec.allow_schedules,
        "sealed": False,
        "persist_mode": "async" if is_async else "default",
    }


def consumer_settings(spec: ConsumerSpec) -> dict[str, Setting]:
    """Return every setting of a consumer that we state, in comparable form."""
    return {
        "filters": tuple(sorted(spec.filters)),
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": float(spec.ack_wait_seconds),
        "max_deliver": spec.max_deliver,
        "max_ack_pending": spec.max_ack_pending,
        "deliver_subject": None,
    }


async def _provision_stream(js: JetStreamContext, spec: StreamSpec, replicas: int, report: ProvisionReport) -> None:
    wanted = stream_settings(spec, replicas)
    before = await _existing_stream(js, spec.name)
    if before is None:
        await js.add_stream(_stream_config(spec, replicas))
        report.created.append(spec.name)
    elif changes := _compare(spec.name, wanted, before):
        try:
            await js.update_stream(_stream_config(spec, replicas))
        except APIError as error:
            raise DriftError(changes, str(error.description)) from error
        report.updated += changes
    else:
        report.unchanged.append(spec.name)
        return
    if remaining := _compare(spec.name, wanted, await _existing_stream(js, spec.name)):
        raise DriftError(remaining, "it accepted the configuration and kept another value")


async def _provision_consumer(js: JetStreamContext, spec: ConsumerSpec, report: ProvisionReport) -> None:
    wanted = consumer_settings(spec)
    before = await _existing_consumer(js, spec)
    changes = _compare(_place(spec), wanted, before)
    if before is not None and not changes:
        report.unchanged.append(_place(spec))
        return
    try:
        await js.add_consumer(spec.stream, _consumer_config(spec))
    except APIError as error:
        raise DriftError(changes, str(error.description)) from error
    if before is None:
        report.created.append(_place(spec))
    else:
        report.updated += changes
    if remaining := _compare(_place(spec), wanted, await _existing_consumer(js, spec)):
        raise DriftError(remaining, "it accepted the configuration and kept another value")


async def _list_unknown(js: JetStreamContext, report: ProvisionReport) -> None:
    known_streams = {stream.name for stream in STREAMS}
    known_consumers = {_place(consumer) for consumer in CONSUMERS}
    for info in await js.streams_info():
        name = str(info.config.name)
        if name not in known_streams:
            report.unknown.append(name)
            continue
        places = [f"{name}/{consumer.name}" for consumer in await js.consumers_info(name)]
        report.unknown += [place for place in places if place not in known_consumers]


async def _existing_stream(js: JetStreamContext, name: str) -> dict[str, Setting] | None:
    try:
        config = (await js.stream_info(name)).config
    except NotFoundError:
        return None
    return {
        "subjects": tuple(sorted(config.subjects or ())),
        "retention": _text(config.retention),
        "storage": _text(config.storage),
        "num_replicas": config.num_replicas,
        "discard": _text(config.discard),
        "max_bytes": config.max_bytes,
        "max_age": float(config.max_age or 0),
        "max_msg_size": config.max_msg_size,
        "max_msgs": config.max_msgs,
        "max_msgs_per_subject": config.max_msgs_per_subject,
        "duplicate_window": float(config.duplicate_window or 0),
        "allow_atomic": bool(config.allow_atomic),
        "allow_msg_ttl": bool(config.allow_msg_ttl),
        "allow_msg_schedules": bool(config.allow_msg_schedules),
        "allow_direct": bool(config.allow_direct),
        "deny_delete": config.deny_delete,
        "deny_purge": config.deny_purge,
        "allow_rollup_hdrs": config.allow_rollup_hdrs,
        "sealed": config.sealed,
        # The server leaves the strongest mode out of its answer.
        "persist_mode": _text(config.persist_mode) or "default",
    }


async def _existing_consumer(js: JetStreamContext, spec: ConsumerSpec) -> dict[str, Setting] | None:
    try:
        info: api.ConsumerInfo = await js.consumer_info(spec.stream, spec.name)
    except NotFoundError:
        return None
    config = info.config
    filters = config.filter_subjects or ([config.filter_subject] if config.filter_subject else [])
    return {
        "filters": tuple(sorted(filters)),
        "ack_policy": _text(config.ack_policy),
        "deliver_policy": _text(config.deliver_policy),
        "ack_wait": float(config.ack_wait or 0),
        "max_deliver": config.max_deliver,
        "max_ack_pending": config.max_ack_pending,
        "deliver_subject": config.deliver_subject,
    }


def _stream_config(spec: StreamSpec, replicas: int) -> api.StreamConfig:
    is_async = spec.is_async_when_single and replicas == 1
    return api.StreamConfig(
        name=spec.name,
        description=spec.holds,
        subjects=list(spec.subjects),
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        discard=api.DiscardPolicy(spec.discard),
        max_bytes=spec.max_bytes,
        max_age=spec.max_age_seconds,
        max_msg_size=spec.max_msg_bytes,
        max_msgs=-1,
        max_msgs_per_subject=spec.max_msgs_per_subject,
        duplicate_window=spec.duplicate_window_seconds,
        allow_atomic=spec.allow_atomic,
        allow_msg_ttl=spec.allow_msg_ttl,
        allow_msg_schedules=spec.allow_schedules or None,
        allow_rollup_hdrs=spec.allow_schedules,
        allow_direct=True,
        deny_delete=spec.deny_delete,
        persist_mode=api.PersistMode.ASYNC if is_async else None,
    )


def _consumer_config(spec: ConsumerSpec) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        name=spec.name,
        durable_name=spec.name,
        filter_subjects=list(spec.filters) or None,
        ack_policy=api.AckPolicy.EXPLICIT,
        deliver_policy=api.DeliverPolicy.ALL,
        ack_wait=spec.ack_wait_seconds,
        max_deliver=spec.max_deliver,
        max_ack_pending=spec.max_ack_pending,
    )


def _compare(place: str, wanted: dict[str, Setting], found: dict[str, Setting] | None) -> list[Difference]:
    if found is None:
        return [Difference(place, "existence", True, False)]
    return [
        Difference(place, setting, value, found[setting])
        for setting, value in wanted.items()
        if found[setting] != value
    ]


def _place(spec: ConsumerSpec) -> str:
    return f"{spec.stream}/{spec.name}"


def _text(value: object) -> str | None:
    """Enums and the plain text that the client library leaves in their place compare alike."""
    return None if value is None else str(getattr(value, "value", value))
