"""Answers to questions: whatever comes in, a document goes out."""

from __future__ import annotations

from shared.bus.questions import LIST_BYTES_MAX, QUESTION_BYTES_MAX, answering, fitting
from shared.bus.reading import StreamUnavailable
from shared.errors import StopRun
from shared.events.model import Document
from shared.events.queries import QueryRefused


class Question(Document):
    name: str = "nobody"


class Answer(Document):
    text: str


async def greet(question: Question) -> Answer:
    match question.name:
        case "gone":
            raise StopRun("DIF_SNAPSHOT_GONE", "the rows are gone")
        case "down":
            raise StreamUnavailable("no answer")
        case name:
            return Answer(text=f"hello {name}")


async def asked(body: bytes) -> str:
    return (await answering(Question, greet)("aether.greet", body)).decode()


async def test_question_is_read_and_answered_and_an_empty_body_is_one() -> None:
    assert Answer.model_validate_json(await asked(b'{"name": "ana"}')).text == "hello ana"
    assert Answer.model_validate_json(await asked(b"")).text == "hello nobody"


async def test_what_cannot_be_read_or_answered_is_refused_in_words() -> None:
    for body, code in (
        (b"not json", "APV_MALFORMED"),
        (b'{"nome": "ana"}', "APV_MALFORMED"),
        (b" " * (QUESTION_BYTES_MAX + 1), "APV_MALFORMED"),
        (b'{"name": "gone"}', "DIF_SNAPSHOT_GONE"),
        (b'{"name": "down"}', "AUD_UNAVAILABLE"),
    ):
        assert QueryRefused.model_validate_json(await asked(body)).refusal.code == code


def test_rows_are_cut_to_what_fits_and_one_always_does() -> None:
    rows = [Answer(text="x" * (LIST_BYTES_MAX // 2 - 20))] * 3
    assert len(fitting(rows)) == 2
    assert len(fitting([Answer(text="x" * (LIST_BYTES_MAX + 1))] * 2)) == 1
    assert fitting([]) == ()
