"""One client's connection from its first packet to its last: prelogin, login, requests and their answers.

Rows leave packet by packet while SQLite still reads; a client that cancels is heard between packets.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from simulators.tds import messages
from simulators.tds.calling import Call, calls_of
from simulators.tds.errors import FATAL_SEVERITY, SqlServerError, cannot_open_database, deadlock, login_failed
from simulators.tds.faults import Fault, FaultKind
from simulators.tds.house import House
from simulators.tds.lexing import shape_of
from simulators.tds.schema import SYSTEM_DATABASES
from simulators.tds.session import Changed, Event, Finished, Prepared, Rows, Said, Session, Wait, violation_of
from simulators.tds.sqltypes import Stored
from simulators.tds.wire import HungUpError, Wire
from simulators.tds.wiretypes import Reader

FLUSH_BYTES: Final = 32_768
REQUESTS_WAITING_MAX: Final = 16
LOGIN_SECONDS_MAX: Final = 60.0
_CHANGES: Final = {
    "database": messages.ENV_DATABASE, "begin": messages.ENV_BEGIN, "commit": messages.ENV_COMMIT,
    "rollback": messages.ENV_ROLLBACK,
}  # fmt: skip
_VERBS: Final = {5: "BEGIN", 7: "COMMIT", 8: "ROLLBACK", 9: "SAVE"}
_LEVELS: Final = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE", 5: "SNAPSHOT"}


class _Cancelled(Exception):
    """The client has cancelled its request."""


class _Broken(Exception):
    """A fault ends the connection here."""


class _Answer:
    """The one message that answers a request, sent in parts."""

    def __init__(self, wire: Wire, *, packet_bytes: int) -> None:
        self._wire = wire
        self._packet_bytes = packet_bytes
        self._buffer = bytearray()
        self._sent = 0
        self._pending: tuple[int, int, int, int] | None = None

    def add(self, token: bytes) -> None:
        """Append a token; the end of the statement before it now says that more comes."""
        if self._pending is not None:
            kind, status, command, rows = self._pending
            self._buffer += messages.done(kind, status=status | messages.DONE_MORE, command=command, rows=rows)
            self._pending = None
        self._buffer += token

    def end_statement(self, kind: int, *, status: int = 0, command: int = 0, rows: int = 0) -> None:
        """Append the end of a statement."""
        self.add(b"")
        self._pending = (kind, status, command, rows)

    async def flush(self, *, everything: bool = False) -> None:
        """Send the whole packets there are; `everything` also the part of one, as an answer that breaks off does."""
        room = self._packet_bytes - messages.HEADER_BYTES
        size = len(self._buffer) if everything else len(self._buffer) // room * room
        if size == len(self._buffer) and not everything:
            size -= room  # the last packet must be there to be marked as the last
        if size > 0:
            self._send(bytes(self._buffer[:size]), is_last=False)
            del self._buffer[:size]
        await self._wire.drain()

    async def finish(self) -> None:
        """Send what is left and end the message."""
        if self._pending is not None:
            kind, status, command, rows = self._pending
            self._buffer += messages.done(kind, status=status, command=command, rows=rows)
            self._pending = None
        self._send(bytes(self._buffer), is_last=True)
        self._buffer.clear()
        await self._wire.drain()

    @property
    def waiting_bytes(self) -> int:
        """How much is not sent yet."""
        return len(self._buffer)

    def _send(self, data: bytes, *, is_last: bool) -> None:
        self._wire.write(
            messages.packets(
                messages.TABULAR, data, packet_bytes=self._packet_bytes, first=self._sent + 1, is_last=is_last
            )
        )
        self._sent += -(-len(data) // (self._packet_bytes - messages.HEADER_BYTES))


class Connection:
    """One connection."""

    def __init__(self, house: House, wire: Wire, *, tls: Callable[[], ssl.SSLContext]) -> None:
        self._house = house
        self._wire = wire
        self._tls = tls
        self._packet_bytes = 4_096
        self._session: Session | None = None
        self._attention = asyncio.Event()
        self._acknowledged = 0
        self._is_login_alone = False
        self._messages: asyncio.Queue[tuple[int, int, bytes] | None] = asyncio.Queue(REQUESTS_WAITING_MAX)

    async def serve(self) -> None:
        """Serve the client until it leaves or must leave."""
        if self._house.faults.at_connect() is not None:
            self._house.record(kind="connect", fault=FaultKind.REFUSE_CONNECTION.value)
            self._wire.reset()
            return
        try:
            async with asyncio.timeout(LOGIN_SECONDS_MAX):
                self._session = await self._log_in()
            if self._session is not None:
                await self._serve_requests(self._session)
        except (HungUpError, TimeoutError, ConnectionError):
            pass
        except _Broken:
            self._wire.reset()
        finally:
            if self._session is not None:
                self._session.close()
            await self._wire.close()

    # Login.

    async def _log_in(self) -> Session | None:
        kind, _, body = await self._wire.message()
        if kind != messages.PRELOGIN:
            raise HungUpError("no prelogin")
        await self._agree_on_encryption(messages.read_prelogin(body))
        kind, _, body = await self._wire.message()
        if kind != messages.LOGIN:
            raise HungUpError("no login")
        if self._is_login_alone:
            self._wire.stop_tls()
        answer = _Answer(self._wire, packet_bytes=self._packet_bytes)
        request: messages.LoginRequest | None = None
        try:
            request = messages.read_login(body)
            session = self._admit(request)
        except SqlServerError as error:
            self._house.record(
                kind="login", login=request.user if request else None, database=request.database if request else None,
                error=error.number,
            )  # fmt: skip
            answer.add(self._error(error))
            if error.number == 4060 and request is not None:
                answer.add(self._error(login_failed(request.user)))
            answer.end_statement(messages.DONE, status=messages.DONE_ERROR)
            await answer.finish()
            return None
        self._house.record(kind="login", login=session.login, database=session.database, spid=session.spid)
        self._greet(answer, session, request)
        await answer.finish()
        self._packet_bytes = min(request.packet_bytes, self._house.switchboard.now.packet_bytes_max)
        return session

    async def _agree_on_encryption(self, wanted: int) -> None:
        mode = self._house.switchboard.now.encryption
        version = self._house.store.schema.version
        said = messages.ENCRYPT_NOT_SUPPORTED
        if mode == "required":
            said = messages.ENCRYPT_ON if wanted == messages.ENCRYPT_ON else messages.ENCRYPT_REQUIRED
        elif mode == "optional" and wanted in {messages.ENCRYPT_ON, messages.ENCRYPT_REQUIRED}:
            said = messages.ENCRYPT_ON
        elif mode == "optional" and wanted == messages.ENCRYPT_OFF:
            said = messages.ENCRYPT_OFF
            self._is_login_alone = True
        body = messages.prelogin_answer(version=version, encryption=said)
        self._wire.write(messages.packets(messages.TABULAR, body, packet_bytes=self._packet_bytes))
        await self._wire.drain()
        if said != messages.ENCRYPT_NOT_SUPPORTED:
            if wanted == messages.ENCRYPT_NOT_SUPPORTED:
                raise HungUpError("encryption is required and the client has none")
            await self._wire.start_tls(self._tls())

    def _admit(self, request: messages.LoginRequest) -> Session:
        schema = self._house.store.schema
        if request.version < messages.VERSION_LEAST:
            raise SqlServerError(17809, "TDS before 7.3B is not simulated here.", severity=20)
        if request.is_integrated:
            raise SqlServerError(
                18452,
                "Login failed. The login is from an untrusted domain and cannot be used with "
                "Integrated authentication.",
                severity=14,
            )
        found = schema.login(request.user)
        if found is None or not hmac.compare_digest(found[1].password.encode(), request.password.encode()):
            raise login_failed(request.user)
        if self._house.faults.at_login() is not None:
            raise login_failed(request.user)
        name, login = found
        database = request.database or login.default_database or next(iter(login.databases), "master")
        known = schema.database(database)
        if known is None and database.lower() not in SYSTEM_DATABASES:
            raise cannot_open_database(database)
        if known is not None and schema.grants(name, known[0]) is None:
            raise cannot_open_database(known[0])
        return Session(
            self._house,
            login=name,
            database=known[0] if known is not None else database.lower(),
            host=request.host,
            program=request.program,
            spid=self._house.next_spid(),
        )

    def _greet(self, answer: _Answer, session: Session, request: messages.LoginRequest) -> None:
        schema = self._house.store.schema
        size = min(request.packet_bytes, self._house.switchboard.now.packet_bytes_max)
        version = min(request.version, messages.VERSION_74)
        answer.add(messages.environment(messages.ENV_DATABASE, session.database, "master"))
        said = SqlServerError(5701, f"Changed database context to '{session.database}'.", state=2)
        answer.add(messages.message(said, server=schema.server_name, is_info=True))
        answer.add(messages.server_collation())
        answer.add(messages.environment(messages.ENV_LANGUAGE, "us_english"))
        said = SqlServerError(5703, "Changed language setting to us_english.")
        answer.add(messages.message(said, server=schema.server_name, is_info=True))
        answer.add(messages.login_acknowledged(version=version, release=schema.version))
        answer.add(messages.environment(messages.ENV_PACKET_SIZE, str(size), "4096"))
        answer.end_statement(messages.DONE)

    # Requests.

    async def _serve_requests(self, session: Session) -> None:
        listening = asyncio.ensure_future(self._listen())
        try:
            while (message := await self._messages.get()) is not None:
                kind, status, body = message
                if kind == messages.ATTENTION:
                    await self._acknowledge()
                    continue
                if status & (messages.RESET_CONNECTION | messages.RESET_KEEPING_TRANSACTION):
                    session.reset()
                if not await self._answer(session, kind, body, is_reset=bool(status & messages.RESET_CONNECTION)):
                    return
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError, HungUpError):
                await listening

    async def _listen(self) -> None:
        try:
            while True:
                message = await self._wire.message()
                if message[0] == messages.ATTENTION:
                    self._attention.set()
                await self._messages.put(message)
        except HungUpError:
            # Whoever streams or waits for the client ends now too.
            self._attention.set()
            await self._messages.put(None)

    async def _acknowledge(self) -> None:
        if self._acknowledged:
            self._acknowledged -= 1  # it came while the answer was under way, which has said so
            return
        self._attention.clear()
        answer = _Answer(self._wire, packet_bytes=self._packet_bytes)
        answer.end_statement(messages.DONE, status=messages.DONE_ATTENTION)
        await answer.finish()

    async def _answer(self, session: Session, kind: int, body: bytes, *, is_reset: bool) -> bool:
        """Answer one request; False when the connection is over."""
        answer = _Answer(self._wire, packet_bytes=self._packet_bytes)
        if is_reset:
            answer.add(messages.environment(messages.ENV_RESET, ""))
        note: dict[str, object] = {"kind": "", "text": "", "rows": 0, "error": None, "fault": None}
        done = messages.DONE
        is_fatal = False
        database = session.database
        try:
            for call in self._calls(session, kind, body):
                done = messages.DONE_PROCEDURE if call.is_procedure else messages.DONE
                note |= {"kind": call.name, "text": shape_of(call.sql)}
                await self._run(session, call, answer, note)
        except _Cancelled:
            self._acknowledged += 1
            self._attention.clear()
            note["error"] = "cancelled"
            answer.end_statement(messages.DONE, status=messages.DONE_ATTENTION)
        except SqlServerError as error:
            note["error"] = error.number
            rule = violation_of(error)
            if rule is not None:
                self._house.violate(
                    rule=rule, text=f"{note['text']} -> {error.number}", login=session.login, database=session.database
                )
            answer.add(self._error(error))
            answer.end_statement(done, status=messages.DONE_ERROR)
            is_fatal = error.severity >= FATAL_SEVERITY
        finally:
            self._house.record(spid=session.spid, login=session.login, database=database, **note)
        await answer.finish()
        return not is_fatal

    def _calls(self, session: Session, kind: int, body: bytes) -> Iterator[Call]:
        match kind:
            case messages.BATCH:
                sql = messages.after_headers(body)
                text = sql.utf16(sql.left // 2)
                yield Call(name="batch", sql=text, events=session.run(text), is_procedure=False)
            case messages.RPC:
                yield from calls_of(session, messages.read_calls(body))
            case messages.TRANSACTION:
                reader = messages.after_headers(body)
                yield Call(name="transaction", sql="", events=self._transact(session, reader), is_procedure=False)
            case _:
                raise SqlServerError(4002, f"A message of kind {kind} is not simulated here.", severity=20)

    def _transact(self, session: Session, reader: Reader) -> Iterator[Event]:
        number = reader.unpack("H")
        verb = _VERBS.get(number)
        if verb is None:
            raise SqlServerError(40510, f"Transaction request {number} is not simulated here.")
        level = reader.unpack("B") if verb == "BEGIN" else 0
        name = reader.utf16(reader.unpack("B"))
        if level in _LEVELS:
            yield from session.run(f"SET TRANSACTION ISOLATION LEVEL {_LEVELS[level]}")
        yield from session.transact(verb, name=name or None)
        if verb in {"COMMIT", "ROLLBACK"} and reader.left and reader.unpack("B") & 1:
            yield from session.transact("BEGIN")
        yield Finished()

    async def _run(self, session: Session, call: Call, answer: _Answer, note: dict[str, object]) -> None:
        end = messages.DONE_IN_PROCEDURE if call.is_procedure else messages.DONE
        handle: int | None = None
        is_ended = False
        for event in call.events:
            is_ended = not isinstance(event, (Changed, Said, Prepared, Wait))
            match event:
                case Rows():
                    await self._send_rows(session, event, answer, note, end)
                case Finished():
                    answer.end_statement(end)
                case Changed(what=what, new=new, old=old):
                    answer.add(messages.environment(_CHANGES[what], new, old))
                case Said(number=number, message=text, severity=severity, state=state):
                    said = SqlServerError(number, text, severity=severity, state=state)
                    answer.add(messages.message(said, server=self._house.store.schema.server_name, is_info=True))
                case Wait(seconds):
                    await self._wait(seconds)
                case Prepared(found):
                    handle = found
        if call.is_procedure:
            answer.add(messages.return_status(0))
            if handle is not None:
                answer.add(messages.return_value("@handle", handle))
            answer.end_statement(messages.DONE_PROCEDURE)
        elif not is_ended:
            answer.end_statement(end)

    async def _send_rows(
        self, session: Session, result: Rows, answer: _Answer, note: dict[str, object], end: int
    ) -> None:
        fault = self._house.faults.at_query(result.tables)
        if fault is not None:
            note["fault"] = fault.kind.value
            if fault.kind is FaultKind.SLOW:
                await self._wait(fault.seconds)
        answer.add(messages.column_metadata(result.columns))
        writer = messages.RowWriter(result.columns)
        count = 0
        strikes_at = fault.after_rows if fault is not None and fault.kind in _STRIKING else -1
        missing = fault.rows_missing if fault is not None and fault.kind is FaultKind.SHORT_RESULT else 0
        held: deque[Sequence[Stored]] = deque()
        with contextlib.closing(result.rows) as rows:
            for row in rows:
                if count == strikes_at:
                    break
                held.append(row)
                if len(held) <= missing:
                    continue
                answer.add(writer.row(held.popleft()))
                count += 1
                if answer.waiting_bytes >= FLUSH_BYTES:
                    await answer.flush()
                    if self._attention.is_set():
                        raise _Cancelled
        if fault is not None and strikes_at >= 0:
            await self._strike(session, fault, answer)
        answer.end_statement(end, status=messages.DONE_COUNT, command=messages.SELECT_COMMAND, rows=count)

    async def _strike(self, session: Session, fault: Fault, answer: _Answer) -> None:
        match fault.kind:
            case FaultKind.DEADLOCK:
                for event in session.roll_back():
                    if isinstance(event, Changed):
                        answer.add(messages.environment(_CHANGES[event.what], event.new, event.old))
                raise deadlock(session.spid)
            case FaultKind.ERROR:
                raise SqlServerError(fault.number, fault.message, severity=fault.severity)
            case FaultKind.HANG:
                await answer.flush(everything=True)
                await self._wait(fault.seconds)
            case FaultKind.CLOSE:
                await answer.flush(everything=True)
                raise HungUpError("a fault")
            case _:
                await answer.flush(everything=True)
                raise _Broken

    async def _wait(self, seconds: float) -> None:
        """Do nothing for so long, or until the client cancels or leaves."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._attention.wait(), seconds)
        if self._attention.is_set():
            raise _Cancelled

    def _error(self, error: SqlServerError) -> bytes:
        return messages.message(error, server=self._house.store.schema.server_name)


_STRIKING: Final = frozenset({FaultKind.DEADLOCK, FaultKind.ERROR, FaultKind.HANG, FaultKind.RESET, FaultKind.CLOSE})
