"""Asks the services, as one person, by request and reply on the bus.

It decides nothing: what may be asked follows from the person's permissions on the bus, what is answered from the
service. A question that gets no answer ends in an error that names the service and what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from opentelemetry import trace
from pydantic import ValidationError

from shared.asking.problem import CommandFailed, NoAnswer, from_note
from shared.bus.client import BusClient
from shared.bus.connect import BusMisaddressed, Refusals, addresses_of, tls_options
from shared.bus.topology import REQUESTS, inbox_prefix, matches, subject_shape
from shared.events import queries
from shared.events.commands import DecideRun, DeclareDelta, NameRun, PromoteConnector, Reply, RequestRun, WithdrawDelta
from shared.events.model import Document
from shared.events.operating import CredentialList, CredentialQuery
from shared.events.schedules import NameSchedule, ScheduleList, ScheduleQuery
from shared.secrets import SecretReference, resolve
from shared.telemetry.carrying import TRACE_PARENT, traceparent_of
from shared.telemetry.spans import begin_publishing, error_type, fail

CONNECT_SECONDS = 5
ANSWER_SECONDS = 20.0
"""A service answers in milliseconds; a plan of many pages that is read for the first time takes seconds."""

AnswerT = TypeVar("AnswerT", bound=Document)


class Entry(Protocol):
    """As whom the bus is entered, and where; a profile is one."""

    @property
    def nats_url(self) -> str:
        """Addresses of the bus, separated by commas, without credentials."""

    @property
    def nats_ca(self) -> Path | None:
        """The authorities that the bus is believed by."""

    @property
    def user(self) -> str:
        """The name that the bus asserts."""

    @property
    def password(self) -> SecretReference:
        """Reference to the password."""


class PersonClient:
    """One person's connection to the bus."""

    def __init__(self, connection: Client, *, user: str, traces: trace.TracerProvider | None = None) -> None:
        """`traces` makes the spans of commands; None: that of the process, which mostly makes none."""
        self._tracer = trace.get_tracer(__name__, tracer_provider=traces)
        self.connection = connection
        self.user = user
        self._refusals = Refusals(user)
        self._was_refused = asyncio.Event()

    async def hear(self, error: Exception) -> None:
        """Take what the server says apart from answers: that an act was refused."""
        if self._refusals.hear(str(error)) is not None:
            self._was_refused.set()

    # -- questions ---------------------------------------------------------------------------------------------------

    async def runs(self, question: queries.RunsQuery) -> queries.RunsAnswer:
        """The newest runs."""
        return await self._ask("aether.query.runs", question, queries.RunsAnswer)

    async def run(self, run: str) -> queries.RunAnswer:
        """All that is known of one run."""
        return await self._ask("aether.query.run", queries.RunQuery(run=run), queries.RunAnswer)

    async def plan(self, question: queries.PlanQuery) -> queries.PlanAnswer:
        """A part of a run's plan."""
        return await self._ask("aether.query.plan", question, queries.PlanAnswer)

    async def entries(self, *, first: int, limit: int = queries.ENTRIES_MAX) -> queries.EntriesAnswer:
        """Audit entries by index."""
        question = queries.EntriesQuery(first=first, limit=limit)
        return await self._ask("aether.query.entries", question, queries.EntriesAnswer)

    async def checkpoints(self, *, first: int, limit: int = queries.ENTRIES_MAX) -> queries.CheckpointsAnswer:
        """Signed checkpoints, oldest first."""
        question = queries.CheckpointsQuery(first=first, limit=limit)
        return await self._ask("aether.query.checkpoints", question, queries.CheckpointsAnswer)

    async def health(self) -> queries.HealthAnswer:
        """How the audit log stands."""
        return await self._ask("aether.query.health", queries.HealthQuery(), queries.HealthAnswer)

    async def declared(self, question: queries.DeclaredQuery) -> queries.DeclaredAnswer:
        """The declared deltas."""
        return await self._ask("aether.guard.declared", question, queries.DeclaredAnswer)

    async def history(self, question: queries.HistoryQuery) -> queries.HistoryAnswer:
        """What the guard was shown of earlier runs."""
        return await self._ask("aether.guard.history", question, queries.HistoryAnswer)

    async def subset(self, question: queries.SubsetQuery) -> queries.SubsetAnswer:
        """What approving a part of a run's plan would mean."""
        return await self._ask("aether.plan.subset", question, queries.SubsetAnswer)

    async def quarantine(self, question: queries.QuarantineQuery) -> queries.QuarantineAnswer:
        """What stands in a run's quarantine, without values."""
        return await self._ask("aether.quarantine.items", question, queries.QuarantineAnswer)

    async def check_connection(self, name: str) -> queries.ConnectionAnswer:
        """What a harmless try of a connection finds."""
        question = queries.ConnectionQuery(connection=name)
        return await self._ask("aether.connection.check", question, queries.ConnectionAnswer)

    async def reveal_change(self, question: queries.RevealChange) -> queries.RevealedChange:
        """The personal values of one change; that they were asked for, and why, is recorded first."""
        return await self._ask("aether.reveal.change", question, queries.RevealedChange)

    # -- commands ----------------------------------------------------------------------------------------------------

    async def request_run(self, request: RequestRun) -> Reply:
        """Ask for a run; the reply names it."""
        return await self._command("aether.run.request", request)

    async def approve(self, decision: DecideRun) -> Reply:
        """Hand in a signed approval."""
        return await self._command("aether.run.approve", decision)

    async def reject(self, decision: DecideRun) -> Reply:
        """Hand in a signed rejection."""
        return await self._command("aether.run.reject", decision)

    async def cancel(self, command: NameRun) -> Reply:
        """Ask that a run end."""
        return await self._command("aether.run.cancel", command)

    async def pause(self, command: NameRun) -> Reply:
        """Ask that a run stop at its next change and wait."""
        return await self._command("aether.run.pause", command)

    async def retry(self, command: NameRun) -> Reply:
        """Ask that what failed in an ended run be tried again; the reply names the new run."""
        return await self._command("aether.run.retry", command)

    async def resume(self, command: NameRun) -> Reply:
        """Ask that a paused run go on."""
        return await self._command("aether.run.resume", command)

    async def declare(self, command: DeclareDelta) -> Reply:
        """Declare a change in advance; the reply names the declaration."""
        return await self._command("aether.guard.declare", command)

    async def withdraw(self, command: WithdrawDelta) -> Reply:
        """Take a declaration back."""
        return await self._command("aether.guard.withdraw", command)

    async def credentials(self) -> CredentialList:
        """How old the credentials of the connections are, and when those end that say so."""
        return await self._ask("aether.connection.credentials", CredentialQuery(), CredentialList)

    async def schedules(self, query: ScheduleQuery) -> ScheduleList:
        """What runs by itself, and when."""
        return await self._ask("aether.schedule.list", query, ScheduleList)

    async def pause_schedule(self, command: NameSchedule) -> Reply:
        """Let a connector run by itself no more."""
        return await self._command("aether.schedule.pause", command)

    async def resume_schedule(self, command: NameSchedule) -> Reply:
        """Let a connector run by itself again."""
        return await self._command("aether.schedule.resume", command)

    async def promote(self, command: PromoteConnector) -> Reply:
        """Let a release be applied in production."""
        return await self._command("aether.connector.promote", command)

    # -- how ---------------------------------------------------------------------------------------------------------

    async def _command(self, subject: str, body: Document) -> Reply:
        # A command begins the trace of what follows from it, or goes on in the present one. Questions begin none.
        span = begin_publishing(self._tracer, shapes=[subject_shape(subject)])
        try:
            reply = await self._ask(subject, body, Reply, traceparent=traceparent_of(span))
        except BaseException as error:
            fail(span, error_type(error))
            raise
        finally:
            span.end()
        if not reply.is_accepted:
            if reply.refusal is None:
                raise CommandFailed(f"{subject} was refused without a reason", action="Look at the service's log.")
            raise from_note(reply.refusal)
        return reply

    async def _ask(
        self, subject: str, body: Document, answer: type[AnswerT], *, traceparent: str | None = None
    ) -> AnswerT:
        headers = None if traceparent is None else {TRACE_PARENT: traceparent}
        data = await self._request(subject, body.model_dump_json().encode(), headers)
        try:
            return answer.model_validate_json(data)
        except ValidationError as invalid:
            try:
                refused = queries.QueryRefused.model_validate_json(data)
            except ValidationError:
                raise CommandFailed(
                    f"the {_service_of(subject)} answered {subject} with something else than {answer.__name__} "
                    f"({invalid.error_count()} faults)",
                    action="This command and the service are of different releases; bring them to the same.",
                ) from None
            raise from_note(refused.refusal) from None

    async def _request(self, subject: str, data: bytes, headers: dict[str, str] | None) -> bytes:
        """One request; a refusal by the bus ends it at once instead of after the time-out."""
        self._was_refused.clear()
        asked = asyncio.ensure_future(self.connection.request(subject, data, timeout=ANSWER_SECONDS, headers=headers))
        refused = asyncio.ensure_future(self._was_refused.wait())
        try:
            await asyncio.wait({asked, refused}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise self._not_permitted(subject)
            return bytes((await asked).data)
        except NoRespondersError:
            service = _service_of(subject)
            raise NoAnswer(
                f"nobody answers {subject}: no {service} is connected to the bus",
                action=f"Start the {service} (the whole house on one machine: `aether up`), then ask again.",
            ) from None
        except NatsTimeoutError:
            if self._refusals.explaining(subject) is not None:
                raise self._not_permitted(subject) from None
            raise NoAnswer(
                f"the {_service_of(subject)} did not answer {subject} within {ANSWER_SECONDS:g} s",
                action="Look at its log and at `aether doctor`. What was asked may still happen; look first.",
            ) from None
        except NatsError as error:
            raise NoAnswer(
                f"the connection to the bus failed: {error}", action="Look at the bus; then ask again."
            ) from None
        finally:
            refused.cancel()
            asked.cancel()

    def _not_permitted(self, subject: str) -> CommandFailed:
        roles = next((spec.roles for spec in REQUESTS if matches(spec.subject, subject)), ())
        return CommandFailed(
            f"the bus refused {subject} to {self.user}, who lacks the role: {' or '.join(roles) or 'none has it'}",
            action="Ask a person with that role, who acts under their own profile.",
            code="APV_NOT_AUTHORISED",
        )


@asynccontextmanager
async def connected(
    profile: Entry, *, program: str = "cli", traces: trace.TracerProvider | None = None
) -> AsyncIterator[PersonClient]:
    """A connection for the time of one verb; `CommandFailed` when the bus cannot be entered."""
    connection = BusClient()
    person = PersonClient(connection, user=profile.user, traces=traces)
    servers = addresses_of(profile.nats_url)
    try:
        encryption = tls_options(profile.nats_url, profile.nats_ca)
    except BusMisaddressed as error:
        raise CommandFailed(str(error), action="Correct nats_url or nats_ca in the profile.") from None
    unreachable: list[Exception] = []

    async def on_error(error: Exception) -> None:
        await person.hear(error)
        if isinstance(error, OSError) and not connection.is_connected:
            unreachable.append(error)
            if len(unreachable) >= len(servers):
                raise error  # each was tried; left alone, the library would try for ever

    try:
        entering = connection.connect(
            servers,
            **encryption,
            user=profile.user,
            password=str(resolve(profile.password)),
            name=f"aether-{program}-{profile.user}",
            inbox_prefix=inbox_prefix(profile.user),
            connect_timeout=CONNECT_SECONDS,
            allow_reconnect=False,
            error_cb=on_error,
        )
        try:
            await asyncio.wait_for(entering, CONNECT_SECONDS * len(servers))
        except (TimeoutError, OSError, NatsError) as error:
            raise _cannot_enter(profile, error) from None
        yield person
    finally:
        # Broken already or never made: the library still tries to write its last words.
        with suppress(OSError):
            await connection.close()


def _cannot_enter(profile: Entry, error: Exception) -> CommandFailed:
    if "authorization" in str(error).lower():
        return CommandFailed(
            f"the bus at {profile.nats_url} does not accept the password of {profile.user}",
            action="Take the profile that the running stack wrote; `aether up` writes it anew.",
        )
    return CommandFailed(
        f"the bus at {profile.nats_url} cannot be reached: {str(error) or type(error).__name__}",
        action="Start it with `aether up`, or correct the address in the profile.",
    )


def _service_of(subject: str) -> str:
    return next((spec.service for spec in REQUESTS if matches(spec.subject, subject)), "service")
