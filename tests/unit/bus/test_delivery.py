"""The delivery rule: when a message is done, tried again or dead, and what a dead letter tells."""

import json
from datetime import UTC, datetime

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.delivery import (
    DEAD_LETTER_BODY_BYTES_MAX,
    STANDARD_BACK_OFF,
    WAIT_SECONDS_MAX,
    Ack,
    DeadLetter,
    Delivery,
    Permanent,
    RetryIn,
    Undecodable,
    dead_letter_message,
    decide,
    reason_of,
)
from shared.bus.publishing import Conflict
from shared.bus.topology import MESSAGE_BYTES_MAX, stream_of
from shared.errors import NeedsPerson, OutcomeUnknown, StopRun, TryLater
from shared.events.dead_letters import REASON_CHARACTERS_MAX

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
DELIVERY = Delivery(stream="CORE", consumer="differ", subject="cmd.diff.r1.0", seq=7, deliveries=2)


class Model(pydantic.BaseModel):
    count: int


def invalid(value: object) -> pydantic.ValidationError:
    with pytest.raises(pydantic.ValidationError) as caught:
        Model.model_validate({"count": value})
    return caught.value


def no_json() -> json.JSONDecodeError:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("Synthetic Person")
    return caught.value


def test_handled_message_is_acknowledged_however_late() -> None:
    assert decide(None, 1) == decide(None, 999) == Ack()


def test_undecodable_message_is_dead_at_its_first_delivery() -> None:
    for error in (invalid("x"), no_json(), Undecodable("bad"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")):
        verdict = decide(error, 1)
        assert isinstance(verdict, DeadLetter)
        assert verdict.code == "SYS_UNDECODABLE"


def test_error_that_repeats_for_ever_is_dead_at_once_under_its_own_code() -> None:
    assert decide(StopRun("SYS_ILLEGAL_TRANSITION", "no"), 1) == DeadLetter(
        "StopRun: SYS_ILLEGAL_TRANSITION: no", "SYS_ILLEGAL_TRANSITION"
    )
    assert isinstance(decide(NeedsPerson("SYS_SECRET", "no"), 1), DeadLetter)
    assert decide(Permanent("no"), 1) == DeadLetter("Permanent: no", "SYS_HANDLER_FAILED")


def test_other_errors_are_retried_with_growing_pauses_and_then_dead() -> None:
    limit = STANDARD_BACK_OFF.deliveries_max
    for error in (KeyError("x"), Conflict("run.r1.state", "1", "2"), OutcomeUnknown("SRC_UNREACHABLE", "x")):
        verdicts = [decide(error, deliveries) for deliveries in range(1, limit)]
        pauses = [verdict.seconds for verdict in verdicts if isinstance(verdict, RetryIn)]
        assert len(pauses) == limit - 1
        assert pauses == sorted(pauses)
        assert isinstance(decide(error, limit), DeadLetter)


def test_asked_pause_is_obeyed_within_bounds_and_does_not_count_as_failing() -> None:
    wait = TryLater("SRC_UNREACHABLE", "x", retry_after_seconds=42)
    assert decide(wait, 1) == decide(wait, STANDARD_BACK_OFF.deliveries_max + 1) == RetryIn(42)
    assert isinstance(decide(wait, STANDARD_BACK_OFF.waiting_deliveries_max), DeadLetter)
    assert decide(TryLater("SRC_UNREACHABLE", "x", retry_after_seconds=10**6), 1) == RetryIn(WAIT_SECONDS_MAX)
    silent = TryLater("SRC_UNREACHABLE", "x")
    dead = decide(silent, STANDARD_BACK_OFF.deliveries_max)
    assert isinstance(dead, DeadLetter)
    assert dead.code == "SRC_UNREACHABLE"


def test_reason_never_quotes_what_an_exception_was_given() -> None:
    for error in (invalid("Synthetic Person"), no_json(), KeyError("Synthetic Person"), ValueError("Synthetic Person")):
        assert "Synthetic" not in reason_of(error)
        assert type(error).__name__ in reason_of(error)
    assert "count: int_parsing" in reason_of(invalid("Synthetic Person"))


@given(st.text(), st.binary(max_size=100), st.text())
def test_dead_letter_fits_headers_whatever_the_message_held(reason: str, body: bytes, trace: str) -> None:
    letter = DeadLetter(reason_of(Permanent(reason)), "SYS_HANDLER_FAILED")
    outgoing = dead_letter_message(
        service="differ", delivery=DELIVERY, letter=letter, body=body, headers={"traceparent": trace}, now=NOW
    )
    assert outgoing.body == body
    for value in outgoing.headers.values():
        assert value.isascii()
        assert value == "" or value.isprintable()
        assert len(value) <= REASON_CHARACTERS_MAX


def test_dead_letter_names_its_message_and_two_services_do_not_hide_each_other() -> None:
    letter = DeadLetter("why", "SYS_HANDLER_FAILED")

    def of(service: str) -> tuple[str, str, dict[str, str]]:
        outgoing = dead_letter_message(
            service=service, delivery=DELIVERY, letter=letter, body=b"x", headers={"Nats-Msg-Id": "m1"}, now=NOW
        )
        return outgoing.subject, outgoing.message_id, dict(outgoing.headers)

    subject, message_id, headers = of("differ")
    assert (subject, message_id) == ("dlq.differ.CORE", "dlq-differ-CORE-7")
    assert stream_of(subject).name == "DLQ"
    assert headers["Aether-Dead-Message-Id"] == "m1"
    assert headers["Aether-Dead-Time"] == "2026-11-22T08:00:00.000Z"
    assert of("auditor")[1] != message_id


def test_dead_letter_of_the_largest_message_still_fits() -> None:
    outgoing = dead_letter_message(
        service="differ",
        delivery=DELIVERY,
        letter=DeadLetter("x" * REASON_CHARACTERS_MAX, "SYS_HANDLER_FAILED"),
        body=bytes(MESSAGE_BYTES_MAX),
        headers={},
        now=NOW,
    )
    assert len(outgoing.body) == DEAD_LETTER_BODY_BYTES_MAX
    assert outgoing.headers["Aether-Dead-Body-Is-Cut"] == "true"
    assert outgoing.headers["Aether-Dead-Body-Bytes"] == str(MESSAGE_BYTES_MAX)
