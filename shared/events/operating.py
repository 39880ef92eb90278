"""Facts of operating the house: schedules, promotions, notices to people. They hold no personal value."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.model import Document, Event
from shared.run.promoted import Promotion


class ConnectorPromoted(Event):
    """A steward promoted a release to production."""

    event_type: ClassVar[str] = "aether.connector.promoted.v1"
    connector: str
    promotion: Promotion


NOTICE_TEXT_MAX = 300
NoticeText = Annotated[str, Field(max_length=NOTICE_TEXT_MAX)]
ConditionKind = Literal[
    "run_awaiting_approval",
    "run_held",
    "run_paused",
    "run_blocked",
    "run_failed",
    "run_partial",
    "schedule_paused",
    "connection_quarantined",
    "alarm_raised",
    "unknown_effects",
]
"""The states of the house that people are told of."""


class CredentialQuery(Document):
    """Body of `aether.connection.credentials`: nothing to be said."""


class CredentialAge(Document):
    """How old one credential is, and when it ends; never what it is."""

    connection: str
    setting: str
    """As in the document of connections, with dots: `oauth.key`."""
    changed_at: str
    """When its file was last written, RFC 3339."""
    ends_at: str | None = None
    """When it ends, where it says so itself: a certificate, a JSON Web Token."""


class CredentialList(Document):
    """Answer to `aether.connection.credentials`: those that lie in files which the extractor may read."""

    credentials: tuple[CredentialAge, ...]


class NoticeSent(Event):
    """People were told on one channel that a condition began or ended; the memory of what was told. No address."""

    event_type: ClassVar[str] = "aether.notice.sent.v1"
    condition: NoticeText
    """Id of this occurrence of the condition."""
    kind: ConditionKind
    change: Literal["began", "ended"]
    channel: NoticeText
    outcome: Literal["sent", "summarised", "given_up"]
    """`summarised`: told within a notice of many; `given_up`: its channel did not take it for a day."""
    tries: int = Field(ge=1)
    at: str
    since: str
    """When the condition began."""
    connector: NoticeText | None = None
    run: NoticeText | None = None
    connection: NoticeText | None = None
    code: NoticeText | None = None


class NoticesTakenOver(Event):
    """A monitor holds the lease of notices; what was told before lies before this fact in the log."""

    event_type: ClassVar[str] = "aether.notice.taken_over.v1"
    holder: NoticeText
    fencing_token: int = Field(ge=1)


NOTICE_SENT_SUBJECT = "audit.monitor.notice_sent"
NOTICES_TAKEN_OVER_SUBJECT = "audit.monitor.notices_taken_over"
