"""What handlers did, as figures tell it, and the form in which figures with exemplars are given."""

from __future__ import annotations

from typing import Any, cast

import pytest
from opentelemetry.context import Context
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from shared.bus.commit import Committer
from shared.bus.delivery import Permanent
from shared.bus.dispatch import Actor, Asked, Dispatcher, RequestRoute, Route
from shared.bus.program import _answer
from shared.clock import SystemClock
from shared.errors import NeedsPerson, TryLater
from shared.events.commands import DiffPartition, RequestRun
from shared.events.envelope import Undecodable
from shared.ids import RandomIds
from shared.run.moves import NOTHING, Decision, Move
from shared.telemetry.handlers import HandlerMetrics
from shared.telemetry.spans import handling
from shared.telemetry.tracing import tracer_provider

RUN = "20261122T083455-4k7zq2"
BODY = f'{{"run": "{RUN}", "partition": 0}}'.encode()
HEADERS = {"ce-type": DiffPartition.event_type}
REQUEST = "aether.run.request"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class NothingCommitted:
    """Takes every move and publishes nothing."""

    async def commit(self, move: Move) -> Decision:
        return NOTHING


class Told:
    """A dispatcher whose handlers do as they are told, and its figures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.error: Exception | None = None
        self.dispatcher: Dispatcher[Any] = Dispatcher(
            service="differ",
            routes=(Route(DiffPartition, self._on_event),),
            requests=(RequestRoute(REQUEST, RequestRun, self._on_request),),
            context=None,
            committer=cast("Committer", NothingCommitted()),
            clock=SystemClock(),
            ids=RandomIds(),
            handled=HandlerMetrics(self.registry),
        )

    async def _on_event(self, event: DiffPartition, context: None) -> None:
        if self.error is not None:
            raise self.error

    async def _on_request(self, command: RequestRun, actor: Actor, context: None) -> Asked:
        if self.error is not None:
            raise self.error
        return Asked(run=RUN, move=Move((), lambda _: NOTHING))

    async def take(self, headers: dict[str, str] = HEADERS) -> None:
        await self.dispatcher.dispatch(subject="cmd.diff.x", headers=headers, data=BODY)

    def counts(self) -> dict[tuple[str, str], float]:
        """How many by event and outcome."""
        return {
            (sample.labels["event"], sample.labels["outcome"]): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "aether_handler_seconds_count"
        }


async def test_events_are_told_by_type_and_by_what_became_of_them() -> None:
    told = Told()
    await told.take()
    told.error = TryLater("AUD_UNAVAILABLE", "x")
    with pytest.raises(TryLater):
        await told.take()
    told.error = NeedsPerson("APV_WRONG_STATE", "x")
    with pytest.raises(NeedsPerson):
        await told.take()
    told.error = ValueError("x")
    with pytest.raises(Permanent):
        await told.take()
    told.error = ConnectionError("x")  # nothing that a handler may raise: the delivery rule's
    with pytest.raises(ConnectionError):
        await told.take()
    kind = DiffPartition.event_type
    assert told.counts() == {(kind, "done"): 1, (kind, "later"): 1, (kind, "refused"): 1, (kind, "failed"): 2}


async def test_an_event_that_nobody_knows_makes_no_series_of_its_own() -> None:
    told = Told()
    for number in range(3):
        with pytest.raises(Undecodable):
            await told.take({"ce-type": f"stranger.{number}"})
    assert told.counts() == {("other", "refused"): 3}


async def test_commands_are_told_by_subject_and_a_refusal_is_no_defect() -> None:
    told = Told()
    body = RequestRun(connector="c", mode="dry-run").model_dump_json().encode()
    await told.dispatcher.answer(subject=REQUEST, headers=None, data=body)
    told.error = NeedsPerson("APV_WRONG_STATE", "x")
    await told.dispatcher.answer(subject=REQUEST, headers=None, data=body)
    await told.dispatcher.answer(subject=REQUEST, headers=None, data=b"{")
    told.error = ValueError("x")
    with pytest.raises(ValueError, match="x"):
        await told.dispatcher.answer(subject=REQUEST, headers=None, data=body)
    assert told.counts() == {(REQUEST, "done"): 1, (REQUEST, "refused"): 2, (REQUEST, "failed"): 1}


async def test_figures_are_given_with_exemplars_to_who_asks_for_their_form_and_plain_to_others() -> None:
    told = Told()
    tracer = tracer_provider("differ").get_tracer("test")
    with handling(tracer, shape="cmd.diff", parent=Context(), attributes={}) as span:
        await told.take()
    trace = format(span.get_span_context().trace_id, "032x")
    status, body, kind = _answer("/metrics", lambda: True, told.registry, accept=OPENMETRICS)
    assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
    families = list(openmetrics_families(body.decode()))  # type: ignore[no-untyped-call]  # the library has no types there
    exemplars = [sample.exemplar.labels for family in families for sample in family.samples if sample.exemplar]
    assert exemplars == [{"trace_id": trace}]
    for accept in ("", "*/*", "text/html", "\xff;;,=", "application/openmetrics-text;version=0.0.1"):
        status, body, kind = _answer("/metrics", lambda: True, told.registry, accept=accept)
        assert (status, kind.split(";")[0]) == (200, "text/plain"), accept
        assert list(plain_families(body.decode())) and trace not in body.decode()
