"""What waits for a person: from what the record and the health of the house say to a short list, the most urgent first.

It reads nothing itself. `needs` is the same for everybody; `for_visitor` says what of it
this visitor can do, and why another must.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from services.console.pages.run_view import acts_of, stamp_of
from services.console.rendering import duration
from services.console.visiting import Visitor
from shared.clock import from_text
from shared.events.operating import CredentialList
from shared.events.queries import DeadLetterView, HealthAnswer, QuarantinedConnection, RunView
from shared.events.schedules import ScheduleList
from shared.failures import CATALOGUE
from shared.run.states import RunStatus
from shared.schedule.state import ITSELF

ITEMS_MAX: Final = 100
RECENT_DAYS: Final = 14
"""A run that ended badly longer ago is no news any more."""
DEAD_LETTER_DAYS: Final = 7
EXPIRES_SOON_SECONDS: Final = 3_600
UNSEALED_SECONDS_MAX: Final = 300
LAG_MAX: Final = 1_000
"""Messages that may wait for the audit log before it is told."""
CREDENTIAL_DAYS: Final = 30
"""Days before its end from which on a credential is told."""
CREDENTIAL_DAYS_SOON: Final = 7
QUARANTINE_GROWTH_MIN: Final = 5
"""Records more than in the run before, from which on the growth is told."""

Kind = Literal[
    "connection", "paused", "approval", "held", "blocked", "failed", "partial", "dead_letters", "quarantine", "audit",
    "silent", "credential", "schedule",
]  # fmt: skip
Urgency = Literal["now", "today", "look"]
_ORDER: Final[Mapping[str, int]] = {"now": 0, "today": 1, "look": 2}
KIND_WORDS: Final[Mapping[Kind, tuple[str, str]]] = {
    "connection": ("connection in quarantine", "connections in quarantine"),
    "paused": ("run paused", "runs paused"),
    "approval": ("plan to approve", "plans to approve"),
    "held": ("plan held", "plans held"),
    "blocked": ("run blocked", "runs blocked"),
    "failed": ("run failed", "runs failed"),
    "partial": ("run partial", "runs partial"),
    "dead_letters": ("message not taken", "messages not taken"),
    "quarantine": ("quarantine growing", "quarantines growing"),
    "audit": ("delay of the audit log", "delays of the audit log"),
    "silent": ("service silent", "services silent"),
    "credential": ("credential ending", "credentials ending"),
    "schedule": ("schedule paused", "schedules paused"),
}
_SIGNS: Final[Mapping[Kind, str]] = {
    "connection": "bad", "paused": "warn", "approval": "act", "held": "warn", "blocked": "bad", "failed": "bad",
    "partial": "warn", "dead_letters": "bad", "quarantine": "warn", "audit": "bad", "silent": "bad",
    "credential": "warn", "schedule": "warn",
}  # fmt: skip
_WAITING: Final = frozenset({"approval", "held"})


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Item(_Model):
    """One thing that waits."""

    kind: Kind
    sign: str
    urgency: Urgency
    title: str
    why: str
    """One line: what is the matter and who must act."""
    href: str
    act: str
    """What the link does."""
    since: str | None = None
    until: str | None = None
    """When it is too late."""
    code: str | None = None
    run: str | None = None
    requester: str | None = None
    approvers: tuple[str, ...] = ()
    is_yours: bool = True
    """Whether this visitor can do it."""


class Fresh(_Model):
    """When a connector last brought its target up to date."""

    connector: str
    run: str | None
    """None when none of its runs succeeded, as far as the list was read."""
    at: str | None
    last_status: str | None
    """Of its newest run; None when it never ran."""


class Growth(_Model):
    """Records in quarantine in a connector's newest run, and in the one before."""

    connector: str
    run: str
    now: int
    before: int


class CountOf(_Model):
    """How many items of one kind there are."""

    kind: Kind
    sign: str
    words: str
    number: int


class InboxPage(_Model):
    """The inbox of one visitor."""

    items: tuple[Item, ...]
    not_shown: int
    counts: tuple[CountOf, ...]
    freshness: tuple[Fresh, ...]
    stamp: str
    """Changes when the list does, for whoever looks at it."""


def needs(
    runs: Sequence[RunView],
    *,
    dead_letters: Sequence[DeadLetterView],
    growth: Iterable[Growth],
    unsealed: RunView | None,
    now: datetime,
) -> tuple[Item, ...]:
    """What the record says that waits, most urgent first; `runs` come newest first, `unsealed` is the oldest such."""
    found: list[Item] = []
    newest: set[str] = set()
    for view in runs:
        is_newest = view.connector not in newest
        if view.mode == "apply" or view.status in (RunStatus.FAILED, RunStatus.BLOCKED):
            newest.add(view.connector)
        if (item := _of_run(view, is_newest=is_newest, now=now)) is not None:
            found.append(item)
    found += _dead_letters(dead_letters, now)
    found += [_growth(one) for one in growth if one.now - one.before >= QUARANTINE_GROWTH_MIN]
    if unsealed is not None and (waited := _age(unsealed.changed_at, now)) > UNSEALED_SECONDS_MAX:
        text = f"A run that ended {duration(waited)} ago is not under a signed checkpoint; look at the auditor."
        found.append(_item("audit", "now", "The audit log is behind", text, "/audit", "Look at the audit log",
                           since=unsealed.changed_at, code="AUD_UNAVAILABLE"))  # fmt: skip
    return ordered(found)


def health_items(health: HealthAnswer | None) -> tuple[Item, ...]:
    """What the health of the house adds; None when nobody answered."""
    if health is None:
        text = "The auditor did not answer, so connections and the audit log's lag are not known. Look at the services."
        return (_item("silent", "now", "The bus or the auditor is silent", text, "/systems", "Look at the systems"),)
    found = [_quarantined(one) for one in health.quarantined]
    behind = {stream: lag for stream, lag in health.lag.items() if lag > LAG_MAX}
    if behind:
        told = ", ".join(f"{lag:,} messages of {stream}" for stream, lag in sorted(behind.items()))
        found.append(_item("audit", "today", "The audit log lags behind", f"{told} are not in it yet.", "/audit",
                           "Look at the audit log"))  # fmt: skip
    return tuple(found)


def credential_items(answer: CredentialList | None, now: datetime) -> tuple[Item, ...]:
    """Credentials that end soon or have ended; nothing while nobody answers, which `health_items` says."""
    found: list[Item] = []
    for one in answer.credentials if answer is not None else ():
        if one.ends_at is None:
            continue
        left = from_text(one.ends_at) - now
        if left > timedelta(days=CREDENTIAL_DAYS):
            continue
        is_over = left <= timedelta()
        urgency: Urgency = "now" if is_over else "today" if left <= timedelta(days=CREDENTIAL_DAYS_SOON) else "look"
        title = f"The credential {one.setting} of {one.connection} {'has ended' if is_over else 'ends soon'}"
        why = f"{one.ends_at}: renew it where its reference points; it is read anew without a restart. District admin."
        found.append(_item("credential", urgency, title, why, f"/systems#connection-{one.connection}",
                           "Look at the connection").model_copy(update={"until": one.ends_at}))  # fmt: skip
    return tuple(found)


def schedule_items(answer: ScheduleList | None) -> tuple[Item, ...]:
    """Schedules that paused themselves, and a calendar that stops them all."""
    if answer is None:
        return ()
    found: list[Item] = []
    if answer.problem is not None:
        found.append(_item("schedule", "now", "Nothing runs by schedule", _owned("SCH_CONFIG", answer.problem.text),
                           "/schedules", "Look at the calendar", code="SCH_CONFIG"))  # fmt: skip
    for view in answer.schedules:
        if view.paused is not None and view.paused.by == ITSELF:
            found.append(_item("schedule", "today", f"The schedule of {view.connector} paused itself",
                               _owned("SCH_PAUSED", view.paused.reason), "/schedules", "Read both runs, then resume",
                               since=view.paused.at, code="SCH_PAUSED", run=view.last_run))  # fmt: skip
    return tuple(found)


def for_visitor(items: Iterable[Item], visitor: Visitor) -> tuple[Item, ...]:
    """The same list as this visitor meets it: what they can do first, and why another must do the rest."""
    return ordered([_as_met(item, visitor) for item in items])


def ordered(items: Iterable[Item]) -> tuple[Item, ...]:
    """The most urgent first; of equal urgency what one can do, then what waits longest."""
    kinds = list(KIND_WORDS)
    return tuple(
        sorted(items, key=lambda one: (_ORDER[one.urgency], not one.is_yours, kinds.index(one.kind), one.since or ""))
    )


def counts_of(items: Iterable[Item]) -> tuple[CountOf, ...]:
    """How many there are of each kind, in the order of urgency."""
    counted = Counter(item.kind for item in items)
    return tuple(
        CountOf(kind=kind, sign=_SIGNS[kind], words=words[counted[kind] > 1], number=counted[kind])
        for kind, words in KIND_WORDS.items()
        if counted[kind]
    )


def freshness(runs: Sequence[RunView], names: Collection[str]) -> tuple[Fresh, ...]:
    """The last success of each connector, the stalest first; `runs` come newest first."""
    found: dict[str, Fresh] = {}
    for view in runs:
        known = found.get(view.connector)
        is_good = view.mode == "apply" and view.status in (RunStatus.SUCCEEDED, RunStatus.NO_CHANGES)
        if known is None:
            found[view.connector] = Fresh(
                connector=view.connector,
                run=view.run if is_good else None,
                at=view.changed_at if is_good else None,
                last_status=view.status,
            )
        elif known.at is None and is_good:
            found[view.connector] = known.model_copy(update={"run": view.run, "at": view.changed_at})
    never = [Fresh(connector=name, run=None, at=None, last_status=None) for name in names if name not in found]
    have_run = sorted(found.values(), key=lambda one: (one.at is not None, one.at or "", one.connector))
    return (*have_run, *sorted(never, key=lambda one: one.connector))


def inbox_page(items: Sequence[Item], *, fresh: tuple[Fresh, ...], stamp: str) -> InboxPage:
    """The page over a list in its final order."""
    return InboxPage(
        items=tuple(items[:ITEMS_MAX]),
        not_shown=max(len(items) - ITEMS_MAX, 0),
        counts=counts_of(items),
        freshness=fresh,
        stamp=stamp,
    )


def stamp_of_items(items: Iterable[Item]) -> str:
    """A short text that differs when the list does; how long ago something was does not count."""
    return stamp_of(*(f"{one.kind}|{one.run}|{one.title}|{','.join(one.approvers)}|{one.urgency}" for one in items))


# --- one by one -----------------------------------------------------------------------------------------------------


def _of_run(view: RunView, *, is_newest: bool, now: datetime) -> Item | None:
    kind: Kind
    status = RunStatus(view.status)
    if status in (RunStatus.AWAITING_APPROVAL, RunStatus.HELD):
        return _waiting(view, now)
    if status is RunStatus.PAUSED:
        note = view.failure
        why = _owned(note.code if note else None, note.text if note else "An operator asked for it.")
        return _run_item("paused", "now", view, "is paused", why, "Resume or cancel")
    is_recent = _age(view.changed_at, now) <= RECENT_DAYS * 86_400
    if not is_newest or not is_recent:
        return None  # a later run of the connector says how it stands now
    note = view.failure
    why = _owned(note.code if note else None, note.text if note else "Some changes were not done.")
    may_retry = any(act.name == "retry" and act.is_permitted for act in acts_of(view, now=now))
    match status:
        case RunStatus.FAILED:
            kind, what = "failed", "failed"
        case RunStatus.BLOCKED:
            kind, what = "blocked", "is blocked"
        case RunStatus.PARTIAL:
            counts = view.counts
            left = counts.planned - counts.applied - counts.noop_already if counts is not None else 0
            kind, what = "partial", f"left {left:,} changes undone"
        case _:
            return None
    return _run_item(kind, "today", view, what, why, "Look and retry" if may_retry else "Look at what failed")


def _waiting(view: RunView, now: datetime) -> Item:
    plan = view.plan
    needed, changes = (plan.approvals_needed, plan.changes) if plan is not None else (1, 0)
    expires = plan.expires_at if plan is not None else None
    is_urgent = expires is not None and from_text(expires) - now < timedelta(seconds=EXPIRES_SOON_SECONDS)
    is_held = view.status == RunStatus.HELD
    why = f"{changes:,} changes, {len(view.approvers)} of {needed} approvals."
    if is_held:
        why = f"The guard holds it: {why} Whoever approves releases it knowingly."
    if is_urgent:
        why += " It expires soon."
    what = "is held by the guard" if is_held else "waits for approval"
    item = _run_item(
        "held" if is_held else "approval", "now" if is_urgent else "today", view, what, why, "Review the plan"
    )
    return item.model_copy(update={"href": f"/runs/{view.run}/plan", "until": expires, "approvers": view.approvers})


def _dead_letters(letters: Sequence[DeadLetterView], now: datetime) -> list[Item]:
    recent = [one for one in letters if _age(one.at, now) <= DEAD_LETTER_DAYS * 86_400]
    if not recent:
        return []
    first = recent[0]
    title = f"{len(recent)} messages could not be taken" if len(recent) > 1 else "A message could not be taken"
    why = f"The newest went to the {first.service}: {_owned(first.code, first.reason)}"
    return [_item("dead_letters", "today", title, why, "/quarantine", "Look at them", since=first.at, code=first.code)]


def _quarantined(one: QuarantinedConnection) -> Item:
    code = one.reason.code if one.reason is not None else None
    why = _owned(code, one.reason.text if one.reason is not None else "Its credential was refused.")
    title = f"Connection {one.connection} is in quarantine"
    return _item(
        "connection", "now", title, why, "/systems", "Look at the system", since=one.since, code=code, run=one.run
    )


def _growth(one: Growth) -> Item:
    why = f"{one.now:,} records of the source are set aside, {one.before:,} in the run before. Data steward."
    return _item("quarantine", "look", f"{one.connector}: the quarantine grows", why, f"/quarantine?run={one.run}",
                 "Look at the records", run=one.run)  # fmt: skip


def _as_met(item: Item, visitor: Visitor) -> Item:
    is_yours, more = True, ""
    if item.kind in _WAITING:
        if item.requester == visitor.user:
            is_yours, more = False, " You asked for it, so another person must decide."
        elif visitor.user in item.approvers:
            is_yours, more = False, " You have approved; one more person must."
        elif not visitor.has("approver"):
            is_yours, more = False, " An approver must decide."
    elif item.kind == "credential":
        is_yours = visitor.has("admin", "operator")
    elif item.kind in {"schedule", "paused", "failed", "partial", "connection", "dead_letters"}:
        is_yours = visitor.has("operator")
    elif item.kind == "quarantine":
        is_yours = visitor.has("steward", "operator")
    return item.model_copy(update={"is_yours": is_yours, "why": item.why + more})


def _run_item(kind: Kind, urgency: Urgency, view: RunView, what: str, why: str, act: str) -> Item:
    code = view.failure.code if view.failure is not None else None
    return _item(
        kind, urgency, f"{view.connector} {what}", why, f"/runs/{view.run}", act, since=view.changed_at, code=code,
        run=view.run,
    ).model_copy(update={"requester": view.requester})  # fmt: skip


def _item(
    kind: Kind, urgency: Urgency, title: str, why: str, href: str, act: str, *, since: str | None = None,
    code: str | None = None, run: str | None = None,
) -> Item:  # fmt: skip
    return Item(
        kind=kind, sign=_SIGNS[kind], urgency=urgency, title=title, why=why, href=href, act=act, since=since,
        code=code if code in CATALOGUE else None,
        run=run,
    )  # fmt: skip


def _owned(code: str | None, text: str) -> str:
    """The text with whose matter it is."""
    entry = CATALOGUE.get(code or "")
    return text if entry is None else f"{text.rstrip('.')}. For the {entry.owner}."


def _age(moment: str, now: datetime) -> float:
    return (now - from_text(moment)).total_seconds()
