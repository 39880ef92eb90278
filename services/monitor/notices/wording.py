"""What a notice says, in plain words and as data; the channels only give it their form.

Pure. Told are names of connectors and connections, ids of runs, states, counts, and codes with their text and advice
from the catalogue. A notice never holds a value of a record or the name of a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from services.monitor.notices.conditions import Condition
from services.monitor.notices.deciding import Due
from shared.events.operating import ConditionKind
from shared.failures import CATALOGUE

SCHEMA: Final = "aether.notice/1"
"""Version of the document that a webhook gets; a new field may come without a new version."""
SHOWN_MAX: Final = 20
"""Conditions that a summary names; of the others it says how many they are."""

SENTENCES: Final[dict[ConditionKind, str]] = {
    "run_awaiting_approval": "a run waits for approval",
    "run_held": "the guard holds a run",
    "run_paused": "a run is paused",
    "run_blocked": "the guard blocked a run",
    "run_failed": "a run failed",
    "run_partial": "a run ended partial",
    "schedule_paused": "the schedule is paused",
    "connection_quarantined": "the connection is in quarantine",
    "alarm_raised": "an alarm was raised",
    "unknown_effects": "changes have an unknown effect",
}
ACTIONS: Final[dict[ConditionKind, str]] = {
    "run_awaiting_approval": "Review the plan, then approve or reject it before it expires.",
    "run_held": "Look at what the guard says; approve with override, or reject. A held plan expires.",
    "run_paused": "Look why it paused; then resume or cancel the run.",
    "run_blocked": "Look at what the guard says; correct the data, the contract or the policy, and run again.",
    "run_failed": "Look at the run; mend what it names, and run again.",
    "run_partial": "Look at what was not applied; retry the failed changes or let the next run take them up.",
    "schedule_paused": "Look at its last runs; mend what they name, and resume the schedule.",
    "connection_quarantined": "Mend or renew the credential of the connection, and check the connection.",
    "alarm_raised": "Look into the audit log at once: this never happens by accident.",
    "unknown_effects": "Look at the run; its target is read back before anything is sent again.",
}
ENDS: Final[dict[ConditionKind, str]] = {
    "run_awaiting_approval": "It does not wait any more.",
    "run_held": "It is not held any more.",
    "run_paused": "It is not paused any more.",
    "run_blocked": "A later run of the connector got past the guard, or none was blocked for 90 days.",
    "run_failed": "A later run of the connector ended well, or none ended like this for 90 days.",
    "run_partial": "A later run of the connector ended well, or none ended like this for 90 days.",
    "schedule_paused": "It was resumed.",
    "connection_quarantined": "The connection is used again.",
    "alarm_raised": "It was not raised again for 24 hours.",
    "unknown_effects": "Every effect is known.",
}


@dataclass(frozen=True, slots=True)
class House:
    """What every notice says of the house that it comes from."""

    environment: str
    console_url: str | None
    """Address of the console, without a slash at its end."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one channel, of one condition or of several."""

    id: str
    """The same whenever the same is told on the same channel: receivers know a repetition by it."""
    reply_to: str | None
    """Of an end: the id under which the beginning was told, if that was told by itself."""
    title: str
    lines: tuple[str, ...]
    link: str | None
    document: dict[str, Any]
    """As data, for programs."""

    @property
    def text(self) -> str:
        """The whole as plain text."""
        return "\n".join([self.title, "", *self.lines, *([] if self.link is None else ["", self.link])]) + "\n"


def notice_of(items: Sequence[Due], *, channel: str, house: House, at: str) -> Notice:
    """The message that tells of these; of one its whole content, of several the first ones and how many more."""
    place = f"[aether {house.environment}] "
    document: dict[str, Any] = {"schema": SCHEMA, "environment": house.environment, "at": at}
    if len(items) == 1:
        due = items[0]
        reply_to = notice_id(channel, f"began/{due.condition.id}") if due.change == "ended" else None
        document |= {"type": f"condition.{due.change}", "condition": _document(due, house)}
        return Notice(
            notice_id(channel, due.key), reply_to, f"{place}{headline(due)}", _lines(due),
            link_of(due.condition, house), document,
        )  # fmt: skip
    began = sum(due.change == "began" for due in items)
    numbers = [f"{began} began"] * (began > 0) + [f"{len(items) - began} ended"] * (began < len(items))
    lines = [f"{headline(due)}{_run_of(due)}" for due in items[:SHOWN_MAX]]
    if len(items) > SHOWN_MAX:
        rest = Counter(SENTENCES[due.condition.kind] for due in items[SHOWN_MAX:])
        told = "; ".join(f"{sentence} ({number})" for sentence, number in sorted(rest.items()))
        lines.append(f"and {len(items) - SHOWN_MAX} more: {told}")
    document |= {
        "type": "summary",
        "conditions": [_document(due, house) | {"change": due.change} for due in items],
    }
    name = "summary/" + sha256("\n".join(sorted(due.key for due in items)).encode()).hexdigest()
    title = f"{place}{len(items)} conditions: {', '.join(numbers)}"
    return Notice(notice_id(channel, name), None, title, tuple(lines), house.console_url, document)


def trial_of(*, channel: str, house: House, at: str, nonce: str) -> Notice:
    """A notice that tells of nothing, to try a channel with."""
    document = {"schema": SCHEMA, "type": "trial", "environment": house.environment, "at": at, "channel": channel}
    lines = ("Somebody tries this channel. Nothing is wrong, and there is nothing to do.",)
    title = f"[aether {house.environment}] a trial of the channel {channel}"
    return Notice(notice_id(channel, f"trial/{nonce}"), None, title, lines, house.console_url, document)


def notice_id(channel: str, name: str) -> str:
    """A short id of a message on a channel."""
    return sha256(f"{channel}\n{name}".encode()).hexdigest()[:32]


def headline(due: Due) -> str:
    """The condition in one line."""
    condition = due.condition
    about = condition.connector or condition.connection
    sentence = SENTENCES[condition.kind]
    head = sentence if about is None else f"{about}: {sentence}"
    return head if due.change == "began" else f"over: {head}"


def link_of(condition: Condition, house: House) -> str | None:
    """Where the console shows more of it; None where the house does not say where its console is."""
    if house.console_url is None:
        return None
    if condition.kind in ("run_awaiting_approval", "run_held") and condition.run is not None:
        return f"{house.console_url}/runs/{condition.run}/plan"
    if condition.run is not None:
        return f"{house.console_url}/runs/{condition.run}"
    if condition.kind == "schedule_paused":
        return f"{house.console_url}/schedules"
    if condition.kind == "connection_quarantined":
        return f"{house.console_url}/systems"
    return f"{house.console_url}/audit"


def action_of(condition: Condition) -> str:
    """What to do about it; the catalogue knows best."""
    return ACTIONS[condition.kind] if condition.code is None else CATALOGUE[condition.code].action


def _lines(due: Due) -> tuple[str, ...]:
    condition = due.condition
    lines = [f"Since: {condition.since}"]
    if condition.connector is not None:
        lines.append(f"Connector: {condition.connector}")
    if condition.connection is not None:
        lines.append(f"Connection: {condition.connection}")
    if condition.run is not None:
        lines.append(f"Run: {condition.run}")
    if due.change == "ended":
        lines.append(ENDS[condition.kind])
        if due.status_now is not None:
            lines.append(f"State of that run now: {due.status_now}")
        return tuple(lines)
    if condition.status is not None:
        lines.append(f"State: {condition.status}")
    if condition.counts:
        lines.append("Counts: " + ", ".join(f"{name} {number}" for name, number in condition.counts))
    if condition.code is not None:
        lines.append(f"Code: {condition.code}. {CATALOGUE[condition.code].text}")
    lines.append(f"What to do: {action_of(condition)}")
    return tuple(lines)


def _document(due: Due, house: House) -> dict[str, Any]:
    condition = due.condition
    return {
        "id": condition.id,
        "kind": condition.kind,
        "since": condition.since,
        "headline": headline(due),
        "connector": condition.connector,
        "connection": condition.connection,
        "run": condition.run,
        "status": due.status_now if due.change == "ended" else condition.status,
        "counts": dict(condition.counts),
        "code": condition.code,
        "code_text": None if condition.code is None else CATALOGUE[condition.code].text,
        "action": None if due.change == "ended" else action_of(condition),
        "link": link_of(condition, house),
    }


def _run_of(due: Due) -> str:
    run = due.condition.run
    return "" if run is None else f" ({run}, since {due.condition.since})"
