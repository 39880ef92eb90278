"""Where a program of the house may die: every step whose loss could hurt, as data.

A point names a function of production code and the side of it on which the program dies; where one function serves many
kinds of message, also the message. Production code knows nothing of it: `doomed` puts the points around the functions
of a running program. Nothing here is run by the house.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Literal

from shared.events.facts import IntentRecorded, OutcomeRecorded

Service = Literal["extractor", "differ", "applier", "auditor"]
When = Literal["before", "after"]

STORED: Final = "shared.bus.publishing:_until_known"
"""All that is stored on the bus goes through it; before it nothing is sent, after it the message is durable."""
SENT: Final = "shared.bus.client:BusClient.request"
"""Sends one message that is to be answered. Of a batch that is the first and the last: after the first, amid it."""
TAKEN: Final = "shared.bus.dispatch:Dispatcher.dispatch"
ASKED: Final = "shared.bus.dispatch:Dispatcher.answer"
ACKNOWLEDGED: Final = "nats.aio.msg:Msg.ack"
WRITTEN: Final = "systems.http.target:HttpTarget.write"
LOOKED: Final = "systems.http.target:HttpTarget.fetch"

INTENT: Final = IntentRecorded.event_type
OUTCOME: Final = OutcomeRecorded.event_type
CHANGES: Final = "led.*.change.*"
STATE: Final = "run.*.state"


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """One place, one side of it, and which call of it counts."""

    name: str
    service: Service
    place: str
    """`module:function` or `module:Class.method`; where it is looked up when it is called."""
    when: When
    nth: int = 1
    """Which matching call, from 1."""
    subject: str | None = None
    """Pattern that a message of the call must match."""
    kind: str | None = None
    """Event type of that message."""
    status: str | None = None
    """State of the run in that message, which is then the run's document."""
    at_start: bool = False
    """Whether the place is only come by when the program starts; it is then killed once to make it start."""
    is_slow: bool = False
    """Whether the place is only come by while the vendor takes its time over writes."""


def _both(
    name: str,
    service: Service,
    place: str,
    *,
    nth: int = 1,
    subject: str | None = None,
    kind: str | None = None,
    status: str | None = None,
    at_start: bool = False,
    is_slow: bool = False,
) -> tuple[CrashPoint, CrashPoint]:
    """The points before and after one step."""

    def point(when: When) -> CrashPoint:
        return CrashPoint(
            f"{service}-{when}-{name}",
            service,
            place,
            when,
            nth=nth,
            subject=subject,
            kind=kind,
            status=status,
            at_start=at_start,
            is_slow=is_slow,
        )

    return point("before"), point("after")


def _amid(
    name: str, service: Service, *, subject: str, kind: str | None = None, status: str | None = None
) -> CrashPoint:
    """The point between the first message of a batch and its last."""
    return CrashPoint(f"{service}-amid-{name}", service, SENT, "after", subject=subject, kind=kind, status=status)


EXTRACTOR: Final = (
    *_both("request", "extractor", ASKED, subject="aether.run.request"),
    *_both("admission", "extractor", STORED, subject=STATE, status="queued"),
    _amid("admission", "extractor", subject=STATE, status="queued"),
    *_both("read-command", "extractor", TAKEN, subject="cmd.extract.>"),
    *_both("reading-begun", "extractor", STORED, subject=STATE, status="extracting"),
    CrashPoint("extractor-after-source-read", "extractor", "services.extractor.handlers:read_source", "after"),
    CrashPoint("extractor-after-target-read", "extractor", "services.extractor.handlers:read_target", "after"),
    *_both("first-batch", "extractor", STORED, subject="snap.*.source.>"),
    CrashPoint("extractor-after-third-batch", "extractor", STORED, "after", nth=3, subject="snap.*.source.>"),
    CrashPoint("extractor-after-target-batch", "extractor", STORED, "after", nth=2, subject="snap.*.target.>"),
    *_both("checkpoint", "extractor", STORED, subject="snap.*.*.*.checkpoint.>"),
    *_both("first-side", "extractor", STORED, subject="evt.extractor.snapshot_read.>"),
    *_both("last-side", "extractor", STORED, subject=STATE, status="diffing"),
    _amid("last-side", "extractor", subject=STATE, status="diffing"),
    *_both("acknowledgement", "extractor", ACKNOWLEDGED, nth=2, subject="cmd.extract.>"),
)

DIFFER: Final = (
    CrashPoint("differ-before-diff-command", "differ", TAKEN, "before", subject="cmd.diff.>"),
    *_both("changes-page", "differ", STORED, subject="plan.*.page.>"),
    CrashPoint("differ-after-index-part", "differ", STORED, "after", nth=2, subject="plan.*.index.>"),
    CrashPoint("differ-after-residue", "differ", STORED, "after", nth=2, subject="snap.*.residue.>"),
    *_both("partition", "differ", STORED, nth=2, subject="evt.differ.partition_diffed.>"),
    *_both("last-partition", "differ", STORED, subject=STATE, status="guarding"),
    _amid("last-partition", "differ", subject=STATE, status="guarding"),
    CrashPoint("differ-before-draft-command", "differ", TAKEN, "before", subject="cmd.plan.>"),
    *_both("plan-header", "differ", STORED, subject="plan.*.header"),
    *_both("draft-remembered", "differ", "services.differ.ledger:Ledger.remember_draft"),
    CrashPoint("differ-amid-draft-remembered", "differ", "services.differ.ledger:count_run", "after"),
    CrashPoint("differ-after-rows-remembered", "differ", "services.differ.ledger:Ledger.remember_rows", "after"),
    *_both("plan-drafted", "differ", STORED, subject=STATE, status="awaiting_approval"),
    CrashPoint("differ-before-draft-acknowledged", "differ", ACKNOWLEDGED, "before", subject="cmd.plan.>"),
    *_both("approval", "differ", ASKED, subject="aether.run.approve"),
    *_both("approval-stored", "differ", STORED, subject=STATE, status="approved"),
    _amid("approval-stored", "differ", subject=STATE, status="approved"),
    CrashPoint("differ-before-finish-taken", "differ", TAKEN, "before", subject="evt.applier.apply_finished.>"),
    *_both("apply-remembered", "differ", "services.differ.ledger:Ledger.remember_applied"),
    CrashPoint("differ-amid-apply-remembered", "differ", "services.differ.ledger:write_applied", "after"),
    CrashPoint("differ-at-end-of-apply-remembered", "differ", "services.differ.ledger:close_run", "after"),
    CrashPoint(
        "differ-before-finish-acknowledged", "differ", ACKNOWLEDGED, "before", subject="evt.applier.apply_finished.>"
    ),
)

APPLIER: Final = (
    CrashPoint("applier-before-apply-command", "applier", TAKEN, "before", subject="cmd.apply.>"),
    *_both("lease-acquired", "applier", "shared.bus.lease:acquire"),
    *_both("lease-renewed", "applier", "shared.bus.lease:renew", is_slow=True),
    *_both("lease-released", "applier", "shared.bus.lease:release"),
    *_both("fence", "applier", STORED, subject="led.fence.>"),
    *_both("apply-started", "applier", STORED, subject=STATE, status="applying"),
    _amid("apply-started", "applier", subject=STATE, status="applying"),
    CrashPoint("applier-before-first-look", "applier", LOOKED, "before"),
    CrashPoint("applier-after-tenth-look", "applier", LOOKED, "after", nth=10),
    *_both("first-intents", "applier", STORED, subject=CHANGES, kind=INTENT),
    _amid("first-intents", "applier", subject=CHANGES, kind=INTENT),
    CrashPoint("applier-after-later-intents", "applier", STORED, "after", nth=3, subject=CHANGES, kind=INTENT),
    *_both("first-write", "applier", WRITTEN),
    *_both("middle-write", "applier", WRITTEN, nth=25),
    *_both("last-write", "applier", WRITTEN, nth=50),
    *_both("first-outcomes", "applier", STORED, subject=CHANGES, kind=OUTCOME),
    CrashPoint("applier-after-later-outcomes", "applier", STORED, "after", nth=3, subject=CHANGES, kind=OUTCOME),
    *_both("verifying", "applier", STORED, subject=STATE, status="verifying"),
    *_both("finish", "applier", STORED, subject="evt.applier.apply_finished.>"),
    _amid("finish", "applier", subject=STATE, status="succeeded"),
    *_both("acknowledgement", "applier", ACKNOWLEDGED, subject="cmd.apply.>"),
)

AUDITOR: Final = (
    *_both("taking-over", "auditor", "services.auditor.store:Store.take_over", at_start=True),
    *_both("record", "auditor", "services.auditor.store:Store.append", nth=3),
    CrashPoint("auditor-at-begin-of-record", "auditor", "services.auditor.store:_show_token", "after", nth=4),
    CrashPoint("auditor-at-end-of-record", "auditor", "services.auditor.store:Store._project", "after", nth=3),
    *_both("acknowledgement", "auditor", ACKNOWLEDGED, nth=5, subject=STATE),
    CrashPoint("auditor-amid-acknowledgements", "auditor", ACKNOWLEDGED, "after", nth=20, subject=CHANGES),
    *_both("checkpoint", "auditor", "services.auditor.store:Store.add_checkpoint", nth=2),
    *_both("seal", "auditor", STORED, subject="evt.auditor.run_sealed.>"),
)

SECOND: Final = (
    CrashPoint("auditor-after-gap-filled", "auditor", "services.auditor.pulling:StreamPull._fill", "after"),
    CrashPoint(
        "extractor-after-reading-taken-up",
        "extractor",
        "services.extractor.checkpoints:ReadingCheckpoints.take_up",
        "after",
    ),
    CrashPoint("applier-after-ledger-read", "applier", "services.applier.journal:Journal.read", "after"),
)
"""Places that only a program comes by, or only there with anything to do, which makes good what a crash left."""

POINTS: Final[tuple[CrashPoint, ...]] = (*EXTRACTOR, *DIFFER, *APPLIER, *AUDITOR, *SECOND)

TWICE: Final[tuple[tuple[str, str], ...]] = (
    ("applier-after-middle-write", "applier-after-fence"),
    ("applier-after-first-intents", "applier-after-ledger-read"),
    ("applier-after-last-write", "applier-before-first-outcomes"),
    ("differ-after-plan-header", "differ-amid-draft-remembered"),
    ("extractor-after-first-batch", "extractor-amid-last-side"),
    ("extractor-after-checkpoint", "extractor-after-reading-taken-up"),
    ("auditor-before-record", "auditor-after-gap-filled"),
    ("auditor-at-end-of-record", "auditor-after-taking-over"),
)
"""Pairs of one program: it dies at the first, and at the second while it makes good what the first left."""

Deaths = tuple[CrashPoint, ...]
"""Where one program dies in one run, one after the other."""


def point_named(name: str) -> CrashPoint:
    """The point of that name; `KeyError` when there is none."""
    return _BY_NAME[name]


def all_deaths() -> tuple[Deaths, ...]:
    """Every point that can be died at first, and every pair."""
    singles = [(point,) for point in POINTS if point not in SECOND]
    pairs = [(point_named(first), point_named(second)) for first, second in TWICE]
    return (*singles, *pairs)


def rounds() -> tuple[tuple[Deaths, ...], ...]:
    """All deaths, those of different programs together in one run; so each run breaks up to four programs."""
    by_service = [
        [deaths for deaths in all_deaths() if deaths[0].service == service]
        for service in ("extractor", "differ", "applier", "auditor")
    ]
    return tuple(tuple(each for each in together if each is not None) for together in zip_longest(*by_service))


_BY_NAME: Final = {point.name: point for point in POINTS}
