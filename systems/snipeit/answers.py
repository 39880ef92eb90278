"""What an answer of Snipe-IT says, by its body before its status. Pure: status, type and decoded body in, meaning out.

Most failures come with status 200 and `"status": "error"` (vendor's source code 8.1.4, read 2026-11-22): a record that
is not there, a field that is refused, a refusal by the house rules. `messages` is then a sentence or an object of
sentences by field. Sentences are looked at and never repeated: they may name people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shared.http.limits import RETRY_AFTER_SECONDS_MAX
from shared.http.shape import Json
from systems.snipeit.wire import body_names

Meaning = Literal[
    "done", "rate", "auth", "permission", "foreign", "no_route", "missing", "moved", "refused", "busy", "maintenance",
    "elsewhere", "login", "strange",
]  # fmt: skip
"""`foreign`: something before Snipe-IT speaks; `no_route`: Snipe-IT knows no such path or verb; `busy`: a server error,
whatever was done; `maintenance`: closed before anything was done; `elsewhere` and `login`: redirects."""

WINDOW_SECONDS: Final = 60.0
"""The rate is counted by the minute, so no wait of Snipe-IT's own can be longer."""

_MISSING: Final = re.compile(r"not found|does not exist|doesn't exist|no longer exists|not exist", re.IGNORECASE)
_MOVED: Final = re.compile(
    r"not available for check-?out|already (been )?checked (in|out)|not checked out|currently not checked",
    re.IGNORECASE,
)
_IN_USE: Final = re.compile(
    r"still (ha[sv]|manag)|associated with|ha[sv]e? .*(assigned|checked out)|(could|can)(not| not) be deleted",
    re.IGNORECASE,
)
_TAKEN: Final = re.compile(r"already been taken|must be unique", re.IGNORECASE)
_FIELDS_MAX: Final = 50
_CUSTOM: Final = re.compile(r"_snipeit_[a-z0-9_]{1,100}")
_UNIQUE: Final[Mapping[str, frozenset[str]]] = {
    "hardware": frozenset({"asset_tag"}),
    "locations": frozenset({"name"}),
    "models": frozenset({"name", "model_number"}),
}
"""Fields that hold our key and that no two records may share: a create refused for them has found its record."""


@dataclass(frozen=True)
class Said:
    """What an answer says."""

    meaning: Meaning
    why: str = ""
    """For the operator, without any word of theirs."""
    fields: tuple[str, ...] = ()
    """Fields that were refused, by names that we know."""
    wait_seconds: float | None = None
    """What it asks us to wait in its body; None when it says nothing that can be."""


def said_of(status: int, body: Json, *, location: str | None, entity: str) -> Said:
    """What an answer says; `body` is None for one that is not JSON, or not whole."""
    own = body if isinstance(body, dict) else None
    if status == 429 or (own is not None and 429 in (own.get("status_code"), own.get("messages"))):
        return Said("rate", wait_seconds=None if own is None else sensible_wait(own.get("retryAfter")))
    if own is None or status in (401, 403, 408) or status >= 500:
        return Said(_meaning_of_status(status, own, location))
    if 200 <= status < 300:
        return _said_with_success(own, entity)
    if status in (404, 405):
        text = own.get("messages")
        is_record = status == 404 and isinstance(text, str) and "endpoint" not in text and _MISSING.search(text)
        return Said("missing" if is_record else "no_route")
    if status in (400, 409, 413, 422):
        return _refusal(own.get("errors", own.get("messages")), entity)
    return Said(_meaning_of_status(status, None, location))


def _meaning_of_status(status: int, own: Mapping[str, Json] | None, location: str | None) -> Meaning:
    """What a status says where the body adds little."""
    if status == 401:
        return "auth"
    if status == 403 and own is not None:
        return "permission"
    if 300 <= status < 400:
        is_login = location is not None and location.partition("?")[0].rstrip("/").endswith("/login")
        return "login" if is_login else "elsewhere"
    if status >= 500 or status == 408:
        is_closed = status == 503 and own is not None and own.get("message") == "Service Unavailable"
        return "maintenance" if is_closed else "busy"
    return "foreign" if status >= 400 else "strange"


def _said_with_success(own: Mapping[str, Json], entity: str) -> Said:
    match own.get("status"):
        case "error":
            return _refusal(own.get("messages"), entity)
        # An asset has a `status` of its own, which is an object; a list has none.
        case None | "success" | dict():
            return Said("done")
        case _:
            return Said("strange")


def _refusal(messages: Json, entity: str) -> Said:
    if isinstance(messages, dict):
        return _refused_fields(messages, entity)
    text = messages if isinstance(messages, str) else ""
    if text == "Invalid JSON":
        return Said("strange", "it could not read the body; something between has altered it")
    if _MISSING.search(text):
        return Said("missing")
    if _MOVED.search(text):
        return Said("moved")
    if _IN_USE.search(text):
        return Said("refused", "other records still hold on to it; check in or move them first")
    return Said("refused", "it gives its reason in words only; try it in Snipe-IT's own pages to see them")


def _refused_fields(messages: Mapping[str, Json], entity: str) -> Said:
    known = body_names(entity)
    names = tuple(sorted(name for name in messages if name in known or _CUSTOM.fullmatch(name)))[:_FIELDS_MAX]
    others = len(messages) - len(names)
    told = ", ".join([*names, *([f"{others} not known here"] if others else [])])
    is_taken = any(_TAKEN.search(text) for each in messages.values() for text in _sentences(each))
    if names and is_taken and set(messages) <= _UNIQUE.get(entity, frozenset()):
        return Said("moved", fields=names)
    return Said("refused", f"fields: {told or 'not named'}", fields=names)


def _sentences(each: Json) -> list[str]:
    return [text for text in (each if isinstance(each, list) else [each]) if isinstance(text, str)]


def sensible_wait(seconds: Json) -> float | None:
    """A wait that was asked for; one window where it is out of reason, as a known release's are (issue #17464)."""
    if isinstance(seconds, str) and re.fullmatch(r"\s*[0-9]{1,15}\s*", seconds):
        seconds = int(seconds)
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not seconds >= 0:
        return None
    return float(seconds) if seconds <= RETRY_AFTER_SECONDS_MAX else WINDOW_SECONDS
