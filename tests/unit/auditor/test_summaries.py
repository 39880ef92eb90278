"""What may enter an audit entry: the allow-list, tried with a marked text in every field of every event."""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from services.auditor.merging import Arrived
from services.auditor.recording import canonical_body, record
from services.auditor.summaries import SUMMARISED, actor_of, summarise
from shared.audit.entries import AuditEntry, sum_fault
from shared.events import facts
from shared.events.envelope import body_of
from shared.events.model import Event
from shared.events.registry import EVENTS
from shared.hashing.canonical import INTEGER_MAX
from shared.plan.document import Plan, PlanIndexPart, PlanPage
from shared.run.counts import NineCounts

ModelT = TypeVar("ModelT", bound=BaseModel)

MARK = "planted:"
ALLOWED = {
    "at",
    "attempt",
    "channel",
    "command",
    "condition",
    "change_class",
    "change_id",
    "connection",
    "connector",
    "connector_version",
    "content_digest",
    "declaration",
    "digest",
    "entity",
    "expired_at",
    "expires_at",
    "fields",
    "holder",
    "id",
    "last_run",
    "mode",
    "nominal",
    "nonce",
    "plan_digest",
    "release_digest",
    "replay_of",
    "retry_of",
    "service",
    "settled",
    "side",
    "signature",
    "signed_at",
    "since",
    "started_at",
    "status",
    "stream",
    "subject",
    "subset",
    "target",
    "tried_in",
    "valid_from",
    "valid_until",
    "verdict_digest",
    "verdict_level",
    "version",
}
"""Written out here a second time, so that a careless addition to the list fails."""
ON_THE_LOG = [kind for kind in EVENTS.values() if kind not in (Plan, PlanPage, PlanIndexPart)]


def planted(annotation: Any, name: str) -> Any:
    """A value of the annotated type in which every text says which field it stands in."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return planted(parts[0], name)
    if origin is Literal:
        return parts[0]
    if origin in (Union, types.UnionType):
        return planted(parts[0], name)
    if origin is tuple:
        return (planted(parts[0], name),)
    if origin is dict:
        return {f"{MARK}{name}": planted(parts[1], name)}
    if annotation is NineCounts:
        return NineCounts(planned=3, applied=2, failed=1)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return filled(annotation)
    plain: dict[Any, Any] = {str: f"{MARK}{name}", int: 7, float: 1.5, bool: True}
    return plain[annotation]


def filled(kind: type[ModelT]) -> ModelT:
    """A document with a marked text in every field that holds text."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return kind.model_construct(**{name: planted(hints[name], name) for name in kind.model_fields})


def marks_in(values: dict[str, Any]) -> set[str]:
    texts = [str(part) for pair in values.items() for part in pair]
    return {text.split(MARK, 1)[1] for text in texts if MARK in text}


def test_every_event_that_lies_on_the_log_has_an_allow_list() -> None:
    assert frozenset(ON_THE_LOG) == SUMMARISED


@pytest.mark.parametrize("kind", ON_THE_LOG, ids=lambda kind: kind.event_type)
def test_no_field_outside_the_allow_list_enters_a_summary(kind: type[Event]) -> None:
    summary = summarise(filled(kind))
    assert marks_in(summary) <= ALLOWED
    # And what a summary holds is what an entry takes.
    assert all(isinstance(value, str | int | bool | None) for value in summary.values())


def test_a_list_that_names_one_more_field_is_caught_by_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(summarise.__globals__["_FIELDS"], facts.RunCancelled, ("reason",))
    assert "reason" in marks_in(summarise(filled(facts.RunCancelled)))
    assert "reason" not in ALLOWED


def test_counts_under_unlisted_names_are_added_up_without_the_names() -> None:
    finished = facts.ApplyFinished(
        run="r",
        target="t",
        status="partial",
        counts=NineCounts(planned=3, applied=1, failed=2),
        counts_by_code={"APL_CONFLICT": 1, "Maria Example": 1},
        seconds=1.25,
        retries=0,
        rate_limited=0,
        memory_peak_mb=10,
    )
    summary = summarise(finished)
    assert summary["code.APL_CONFLICT"] == 1
    assert summary["code.unlisted"] == 1
    assert summary["milliseconds"] == 1250
    assert "Maria" not in str(summary)


def test_a_sentence_in_the_place_of_a_code_does_not_pass() -> None:
    plain = facts.OutcomeRecorded(run="r", change_id="c", fencing_token=1, result="failed", code="APL_INTERNAL")
    outcome = plain.model_copy(update={"code": "Maria was refused"})
    assert summarise(outcome)["code"] == "unlisted"


def test_the_actor_is_the_person_named_else_the_program() -> None:
    headers = {"ce-source": "/services/differ"}
    cancelled = facts.RunCancelled(run="r", actor="otto", reason="")
    assert actor_of(cancelled, headers) == "otto"
    assert actor_of(facts.RunCancelled(run="r", actor=None, reason=""), headers) is None
    assert actor_of(None, headers) == "/services/differ"
    assert actor_of(None, {"ce-source": "Maria Example"}) is None


def arrived(data: bytes, *, stream: str = "CORE", subject: str = "evt.x.y", **headers: str) -> Arrived:
    return Arrived(
        stream,
        4,
        subject,
        {name.replace("_", "-"): value for name, value in headers.items()},
        data,
        1_700_000_000_000_000,
    )


def test_a_message_that_cannot_be_read_is_still_an_entry() -> None:
    recorded = record(arrived(b"\xff not json", ce_type="aether.run.requested.v1", ce_time="yesterday"), 9)
    assert recorded.entry.type == "aether.run.requested.v1"
    assert recorded.entry.summary == {"is_undecodable": True}
    assert recorded.entry.occurred_at == recorded.entry.recorded_at == "2023-11-14T22:13:20.000Z"
    assert record(arrived(b""), 0).entry.type == "unknown"


@pytest.mark.parametrize("subject", ["s" * 5000, "led.fence.x", "dlq.x.CORE", "a.\x00.b"])
@pytest.mark.parametrize("stream", ["CORE", "LEDGER", "DLQ"])
@pytest.mark.parametrize("data", [b"", b"[]", b'{"token": "x"}', b'{"token": 99999999999999999999}', b"\x00\xff"])
def test_no_message_whatever_it_holds_keeps_the_log_from_growing(subject: str, stream: str, data: bytes) -> None:
    long = "n" * 2000
    entry = record(arrived(data, stream=stream, subject=subject, ce_type=long, ce_source=long, ce_time=long), 0).entry
    assert AuditEntry.model_validate_json(entry.leaf_bytes()) == entry


def test_numbers_that_json_cannot_keep_are_written_as_text() -> None:
    intent = facts.IntentRecorded(run="r", change_id="c", fencing_token=2**60, attempt=1)
    recorded = record(arrived(body_of(intent), stream="LEDGER", ce_type=intent.event_type), 0)
    assert recorded.entry.summary["fencing_token"] == str(2**60)


def test_the_entry_of_a_seal_holds_the_counts_that_the_verifier_adds_up() -> None:
    sealed = facts.RunSealed(
        run="r", connector="c", connector_version="1", mode="apply", status="partial", plan_digest=None,
        verdict_digest=None, approvers=("anna",), counts=NineCounts(planned=3, applied=2, failed=1),
        counts_by_class={"create": 3}, counts_by_code={"APL_CONFLICT": 1}, phases={"applying": 2.5},
        first_entry=0, last_entry=8,
    )  # fmt: skip
    entry = record(arrived(body_of(sealed), ce_type=sealed.event_type), 9).entry
    assert sum_fault(entry) == ""
    assert entry.summary["planned"] == 3
    assert entry.summary["milliseconds.applying"] == 2500


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=4, max_size=4),
    summary=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
        | st.integers(-INTEGER_MAX, INTEGER_MAX)
        | st.booleans()
        | st.none(),
        max_size=8,
    ),
)
def test_the_quick_encoding_of_an_entry_is_the_canonical_one(
    texts: list[str], summary: dict[str, str | int | bool | None]
) -> None:
    moment = "2026-11-22T08:00:00.000Z"
    entry = AuditEntry(
        index=1, recorded_at=moment, stream=texts[0], stream_seq=2, subject=texts[1], type=texts[2], run=None,
        actor=texts[3], occurred_at=moment, payload_sha256="0" * 64, summary=summary,
    )  # fmt: skip
    assert canonical_body(entry) == entry.leaf_bytes()
