"""Answers to questions of people: one body in, one body out, whatever was asked.

What cannot be read or answered is refused in words, never by silence. It knows no question and changes nothing; a
service gives it the function that answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import structlog
from pydantic import ValidationError

from shared.bus.reading import StreamUnavailable
from shared.errors import AetherError
from shared.events.documents import FailureNote
from shared.events.envelope import what_is_wrong
from shared.events.model import Document
from shared.events.queries import QueryRefused

QUESTION_BYTES_MAX: Final = 65_536
LIST_BYTES_MAX: Final = 800_000
"""Of the rows of one answer, below the server's largest message."""
QUESTIONS_AT_ONCE: Final = 2
"""Questions that one process answers side by side; they are rare beside its work."""

log = structlog.get_logger(__name__)

QuestionT = TypeVar("QuestionT", bound=Document)
RowT = TypeVar("RowT", bound=Document)


def answering(
    kind: type[QuestionT],
    respond: Callable[[QuestionT], Awaitable[Document]],
    *,
    bytes_max: int = QUESTION_BYTES_MAX,
) -> Callable[[str, bytes], Awaitable[bytes]]:
    """The function that takes subject and body of such a question and gives the body of its answer."""

    async def answer(subject: str, body: bytes) -> bytes:
        if len(body) > bytes_max:
            text = f"the question has {len(body)} bytes, allowed are {bytes_max}"
            return _refused("APV_MALFORMED", text)
        try:
            question = kind.model_validate_json(body or b"{}")
        except ValidationError as error:
            return _refused("APV_MALFORMED", f"{subject}: {what_is_wrong(error)}")
        try:
            return (await respond(question)).model_dump_json().encode()
        except AetherError as error:
            return _refused(error.code, error.message)
        except StreamUnavailable as error:
            log.error("question_failed", subject=subject, error=type(error).__name__)
            return _refused("AUD_UNAVAILABLE", "the bus cannot be read at the moment; ask again shortly")

    return answer


def fitting(rows: Iterable[RowT]) -> tuple[RowT, ...]:
    """As many rows from the first on as fit in one answer; one always does."""
    found: list[RowT] = []
    room = LIST_BYTES_MAX
    for row in rows:
        room -= len(row.model_dump_json()) + 1
        if room < 0 and found:
            break
        found.append(row)
    return tuple(found)


def _refused(code: str, text: str) -> bytes:
    return QueryRefused(refusal=FailureNote(code=code, text=text)).model_dump_json().encode()
