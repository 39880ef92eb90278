"""What people were told: of which condition, on which channel, that it began or that it ended.

Pure. The facts `NoticeSent` in the log are the memory; this is what they amount to. Nothing that was told is forgotten
by the order in which it is heard: an end stays an end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from services.monitor.notices.names import known_code, known_name
from shared.events.operating import ConditionKind, NoticeSent

ENDED_REMEMBERED_MAX: Final = 50_000
"""Ended conditions that are remembered, newest last, in case a look at an older record finds them present again."""

_KINDS: Final = frozenset(get_args(ConditionKind))

Change = Literal["began", "ended"]


@dataclass(frozen=True, slots=True)
class ToldNotice:
    """What one fact says."""

    channel: str
    condition: str
    change: Change
    kind: ConditionKind
    since: str
    connector: str | None = None
    run: str | None = None
    connection: str | None = None
    code: str | None = None

    @classmethod
    def of(cls, summary: Mapping[str, Any], *, run: str | None) -> ToldNotice | None:
        """As the log has it; None for what has not the form it should."""
        texts = {name: summary.get(name) for name in ("channel", "condition", "change", "kind", "since")}
        if not all(isinstance(text, str) and text for text in texts.values()):
            return None
        if texts["kind"] not in _KINDS or texts["change"] not in ("began", "ended"):
            return None
        return cls(
            **texts,  # type: ignore[arg-type]  # looked at above
            connector=known_name(summary.get("connector")),
            connection=known_name(summary.get("connection")),
            run=known_name(run),
            code=known_code(summary.get("code")),
        )

    @classmethod
    def from_fact(cls, fact: NoticeSent) -> ToldNotice:
        """As we publish it ourselves."""
        return cls(
            channel=fact.channel,
            condition=fact.condition,
            change=fact.change,
            kind=fact.kind,
            since=fact.since,
            connector=fact.connector,
            run=fact.run,
            connection=fact.connection,
            code=fact.code,
        )


@dataclass(slots=True)
class Told:
    """By channel and condition, what was told last."""

    _open: dict[tuple[str, str], ToldNotice] = field(default_factory=dict)
    _ended: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)

    def take(self, notice: ToldNotice) -> None:
        """Remember one notice; hearing it again changes nothing."""
        key = (notice.channel, notice.condition)
        if notice.change == "ended":
            self._open.pop(key, None)
            self._ended[key] = None
            self._ended.move_to_end(key)
            if len(self._ended) > ENDED_REMEMBERED_MAX:
                self._ended.popitem(last=False)
        elif key not in self._ended:
            self._open.setdefault(key, notice)

    def is_told(self, channel: str, condition: str) -> bool:
        """Whether the channel was told that the condition began."""
        return (channel, condition) in self._open or (channel, condition) in self._ended

    def open_on(self, channel: str) -> Iterator[ToldNotice]:
        """The conditions that began by what the channel was told, and of whose end it was not told."""
        return (notice for (name, _), notice in self._open.items() if name == channel)

    def open_runs(self) -> frozenset[str]:
        """The runs of all conditions that began and of whose end somebody was not told."""
        return frozenset(notice.run for notice in self._open.values() if notice.run is not None)
