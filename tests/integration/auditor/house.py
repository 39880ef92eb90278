"""What the auditor's neighbours publish, and auditors to read it: for tests on a real bus."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
from dataclasses import dataclass, field
from typing import Any, Self

from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry

from services.auditor.ingest import Auditor
from services.auditor.store import Store
from services.auditor.writing import LogKey
from shared.audit.lookups import Lookups
from shared.audit.verify import VerificationReport, verify_log
from shared.bus.publishing import Outgoing, publish_batch, publish_one
from shared.clock import SystemClock, to_text
from shared.events import facts, queries
from shared.events.envelope import body_of, headers_of
from shared.events.model import Event
from shared.hashing.canonical import canonical_json
from shared.hashing.signing import load_private_key
from shared.ids import RandomIds
from shared.run.counts import NineCounts
from shared.run.state import PhaseTime, PlanSummary, RunState, state_subject
from shared.run.states import RunStatus
from tests.support.bus import BusUnderTest, until

KEY = LogKey(load_private_key(base64.b64encode(bytes(range(32))).decode()), "audit.example.org/log")
STREAMS = ("CORE", "LEDGER", "DLQ")
_NUMBERS = itertools.count(1)


def new_run() -> str:
    """A run id that no other test uses."""
    return f"20261122T083455-{next(_NUMBERS):06d}"


def event_message(event: Event, subject: str, about: str, *, service: str, message_id: str | None = None) -> Outgoing:
    """An event as a service would publish it."""
    unique = message_id or f"{about}.{event.event_type}.{next(_NUMBERS)}"
    headers = headers_of(
        event, message_id=unique, source=f"/services/{service}", subject=about, time=SystemClock().now()
    )
    return Outgoing(subject, body_of(event), unique, headers)


def run_state(run: str, status: RunStatus, *, changes: int | None = None, counts: NineCounts | None = None) -> RunState:
    """The document of a run that came here by way of `queued`."""
    now = to_text(SystemClock().now())
    plan = None
    if changes is not None:
        plan = PlanSummary(
            plan_digest=f"sha256:{run}", content_digest="sha256:c", verdict_digest="sha256:v", verdict_level="PASS",
            changes=changes, changes_by_class={"update": changes}, approvals_needed=1, created_at=now, expires_at=now,
        )  # fmt: skip
    history = tuple(PhaseTime(status=one, at=now) for one in dict.fromkeys((RunStatus.QUEUED, status)))
    return RunState(
        run=run, connector="staff", connector_version="1", release_digest="sha256:r", mode="apply", requester="otto",
        status=status, changed_at=now, work=(), partitions=1, target="hst", plan=plan, counts=counts, history=history,
    )  # fmt: skip


@dataclass
class House:
    """A bus with its streams, and auditors over one store."""

    bus: BusUnderTest
    store: Store
    writers: dict[str, JetStreamContext]
    auditors: list[tuple[Auditor, asyncio.Task[None]]] = field(default_factory=list)

    @classmethod
    async def made(cls, bus: BusUnderTest, store: Store) -> Self:
        """Connected as each of the services."""
        return cls(bus, store, {name: await bus.js_as(name) for name in ("extractor", "differ", "applier")})

    async def auditor(self, store: Store | None = None, **options: Any) -> Auditor:
        """Start an auditor; it runs until the test ends."""
        made = await self.idle_auditor(store, **options)
        self.auditors.append((made, asyncio.create_task(made.run())))
        return made

    async def idle_auditor(self, store: Store | None = None, **options: Any) -> Auditor:
        """An auditor that was not started."""
        client = await self.bus.connect_as("auditor")
        options.setdefault("registry", CollectorRegistry())
        return Auditor(
            client=client, js=client.jetstream(), store=store or self.store, key=KEY, clock=SystemClock(),
            ids=RandomIds(), **options,
        )  # fmt: skip

    async def stop(self, auditor: Auditor) -> None:
        """End one auditor as a cancelled program ends."""
        for pair in [pair for pair in self.auditors if pair[0] is auditor]:
            self.auditors.remove(pair)
            pair[1].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pair[1]

    async def leave(self) -> None:
        """End every auditor; one that failed fails the test."""
        for auditor, _ in list(self.auditors):
            await self.stop(auditor)

    # -- what the others say -------------------------------------------------------------------------------------

    async def say(self, event: Event, subject: str, about: str, *, service: str = "extractor") -> int:
        """Publish one event."""
        return (await publish_one(self.writers[service], event_message(event, subject, about, service=service))).seq

    async def say_state(self, state: RunState) -> None:
        """Publish where a run stands."""
        await self.say(state, state_subject(state.run), state.run)

    async def conclude(self, run: str, changes: int, *, first: int = 0, is_concluded: bool = True) -> None:
        """Publish intents and, if asked, applied outcomes of so many changes, in atomic batches."""
        for start in range(first, first + changes, 400):
            ids = [f"{number:064x}" for number in range(start, min(start + 400, first + changes))]
            events: list[tuple[Event, str]] = [
                (facts.IntentRecorded(run=run, change_id=one, fencing_token=1, attempt=1), one) for one in ids
            ]
            if is_concluded:
                events += [
                    (facts.OutcomeRecorded(run=run, change_id=one, fencing_token=1, result="applied"), one)
                    for one in ids
                ]
            await publish_batch(
                self.writers["applier"],
                [event_message(event, facts.change_subject(run, one), run, service="applier") for event, one in events],
            )

    async def whole_run(self, run: str, changes: int = 3) -> None:
        """A run from its request to its success."""
        requested = facts.RunRequested(
            run=run, connector="staff", connector_version="1", release_digest="sha256:r", mode="apply", requester="otto"
        )
        await self.say(requested, f"evt.extractor.run_requested.{run}", run)
        await self.say_state(run_state(run, RunStatus.QUEUED))
        await self.say_state(run_state(run, RunStatus.APPLYING, changes=changes))
        await self.conclude(run, changes)
        await self.say_state(
            run_state(run, RunStatus.SUCCEEDED, changes=changes, counts=NineCounts(planned=changes, applied=changes))
        )

    # -- what the auditor knows ----------------------------------------------------------------------------------

    async def ask(self, auditor: Auditor, name: str, question: str = "{}") -> bytes:
        """One answer."""
        return await auditor.answer(f"aether.query.{name}", question.encode())

    async def stored(self) -> int:
        """Messages in the three streams."""
        js = await self.bus.js_as("auditor")
        return sum([(await js.stream_info(stream)).state.messages for stream in STREAMS])

    async def until_recorded(self, store: Store | None = None, seconds: float = 30) -> None:
        """Wait until the log has an entry for every stored message and a checkpoint over all."""
        js = await self.bus.js_as("auditor")
        lookups = Lookups((store or self.store).engine)

        async def is_recorded() -> bool:
            messages = sum([(await js.stream_info(stream)).state.messages for stream in STREAMS])
            return await lookups.size() == messages == await lookups.signed_size()

        await until(is_recorded, seconds)

    async def until_sealed(self, auditor: Auditor, run: str, seconds: float = 30) -> queries.RunView:
        """Wait until a run is sealed under a checkpoint."""

        async def view() -> queries.RunView | None:
            answer = queries.RunAnswer.model_validate_json(await self.ask(auditor, "run", f'{{"run":"{run}"}}'))
            return answer.run if answer.run is not None and answer.run.is_sealed else None

        await until(view, seconds)
        found = await view()
        assert found is not None
        return found

    async def verified(self, auditor: Auditor) -> VerificationReport:
        """The verdict over what the questions for entries and checkpoints return, page by page."""
        entries: list[str] = []
        while True:
            page = queries.EntriesAnswer.model_validate_json(
                await self.ask(auditor, "entries", f'{{"first":{len(entries)},"limit":50}}')
            )
            entries += [_canonical(entry) for entry in page.entries]
            if not page.entries:
                break
        checkpoints: list[str] = []
        while True:
            part = queries.CheckpointsAnswer.model_validate_json(
                await self.ask(auditor, "checkpoints", f'{{"first":{len(checkpoints)},"limit":2}}')
            )
            checkpoints += part.checkpoints
            if not part.checkpoints:
                break
        return verify_log(entries, checkpoints, KEY.verifier_key)


def _canonical(entry: dict[str, Any]) -> str:
    return canonical_json(entry).decode()
