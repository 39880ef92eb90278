"""Takes the bus's streams to files and brings them back, by the server's own snapshots.

A stream comes back with its sequences, times, consumers and their positions. The two files of a stream are those of the
`nats` program (`backup.json`, `stream.tar.s2`): either restores what the other has saved. The house may run meanwhile;
each stream is a picture of one moment, and `ORDER` says which moments fit together. It runs as the provisioner, and
never writes into a stream that exists.

The protocol is of the server, version 2.15: `$JS.API.STREAM.SNAPSHOT.*` and `$JS.API.STREAM.RESTORE.*`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from deploy.backup.files import PIECE_BYTES, Identity, Recipients, Sink, pieces
from deploy.backup.manifest import StreamFacts
from deploy.backup.problem import BackupFailed
from shared.bus.connect import BusSettings, BusUnreachable, NotAdmitted, connect, leave
from shared.bus.environment import require_environment
from shared.bus.topology import PROVISIONER, STREAMS, Environment, stream_spec
from shared.errors import NeedsPerson

ORDER: Final = ("CORE", "LEDGER", "DLQ", "PLAN", "SNAP", "SCHED", "BUDGET", "LEASE")
"""CORE first: what it speaks of (outcomes, plans, dead letters) is in the others, which are taken after it. LEASE last:
its sequences are the fencing tokens, and none that another stream or the auditor's database knows may come again."""

CONFIGURATION: Final = "backup.json"
CONTENT: Final = "stream.tar.s2"
CONNECT_SECONDS_MAX: Final = 10.0
ANSWER_SECONDS_MAX: Final = 60.0
"""For the server to begin a snapshot (it first checks every message's checksum) or to take a piece."""
SILENCE_SECONDS_MAX: Final = 30.0
"""Between two pieces of a snapshot."""
FINISH_SECONDS_MAX: Final = 900.0
"""For the server to build a restored stream after the last piece."""
WINDOW_BYTES: Final = 4 << 20
"""Pieces on their way that nobody has acknowledged: what a backup holds in memory."""
CONFIGURATION_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RestoredStream:
    """One stream as it came back."""

    name: str
    first_seq: int
    last_seq: int
    messages: int
    """Fewer than were saved where messages have become too old since."""


@asynccontextmanager
async def entered(settings: BusSettings, environment: Environment) -> AsyncIterator[Client]:
    """A connection as the provisioner to the bus of this environment."""
    try:
        client = await connect(settings, wait_seconds=CONNECT_SECONDS_MAX)
    except (BusUnreachable, NotAdmitted) as problem:
        raise BackupFailed(
            str(problem), action=f"Start the bus, and give the password of {PROVISIONER} by AETHER_NATS_PASSWORD."
        ) from None
    try:
        await require_environment(client, environment)
        yield client
    except NeedsPerson as problem:
        raise BackupFailed(problem.message, action="Name the right bus, or the right environment.") from None
    finally:
        await leave(client)


def bus_version(client: Client) -> str:
    """Version of the server that answers."""
    version = client.connected_server_version
    return f"{version.major}.{version.minor}.{version.patch}"


async def names_on(client: Client) -> list[str]:
    """Every stream that the bus has."""
    answer = await _asked(client, "$JS.API.STREAM.NAMES", {})
    return list(answer.get("streams") or [])


# -- backup ------------------------------------------------------------------------------------------------------------


async def save_stream(client: Client, name: str, folder: Path, recipients: Recipients) -> StreamFacts:
    """Write one stream's snapshot to `streams/NAME` of the folder, consumers and their positions with it."""
    inbox = client.new_inbox()
    arriving = await client.subscribe(inbox)
    try:
        request = {"deliver_subject": inbox, "chunk_size": PIECE_BYTES, "window_size": WINDOW_BYTES, "jsck": True}
        answer = await _asked(client, f"$JS.API.STREAM.SNAPSHOT.{name}", request)
        content = Sink(folder, f"streams/{name}/{CONTENT}", recipients)
        with content:
            number = 0
            while (piece := await _next_piece(arriving, name)) is not None:
                number += 1
                _check_place(piece, number, name)
                await asyncio.to_thread(content.write, piece.data)
                if piece.reply:
                    # Only now: what is not on its way to the disk counts as under way, and the window bounds it.
                    await client.publish(piece.reply)
    finally:
        await arriving.unsubscribe()
    about = {"config": answer["config"], "state": answer["state"]}
    configuration = Sink(folder, f"streams/{name}/{CONFIGURATION}", recipients)
    with configuration:
        configuration.write(json.dumps(about, indent=2).encode())
    state = answer["state"]
    return StreamFacts(
        name=name,
        first_seq=state["first_seq"],
        last_seq=state["last_seq"],
        messages=state["messages"],
        size=state["bytes"],
        consumers=state.get("consumer_count", 0),
        configuration=configuration.facts,
        content=content.facts,
    )


async def _next_piece(arriving: Any, name: str) -> Msg | None:
    """The next piece; None at the end."""
    try:
        piece: Msg = await arriving.next_msg(timeout=SILENCE_SECONDS_MAX)
    except nats.errors.TimeoutError:
        raise BackupFailed(
            f"stream {name}: the server sent nothing for {SILENCE_SECONDS_MAX:g} s",
            action="Look at the server's log, and try again.",
        ) from None
    if piece.data:
        return piece
    headers = piece.headers or {}
    if headers.get("Status", "204") != "204":
        raise BackupFailed(
            f"stream {name}: the server ended the snapshot: {headers.get('Status')} {headers.get('Description', '')}",
            action="Look at the server's log, and try again; a damaged stream is repaired by its other replicas.",
        )
    return None


def _check_place(piece: Msg, number: int, name: str) -> None:
    """A piece says its size and number in its reply subject; the last one has none."""
    if not piece.reply:
        return
    size, place = (int(token) for token in piece.reply.split(".")[-2:])
    if (size, place) != (len(piece.data), number):
        raise BackupFailed(
            f"stream {name}: piece {number} of {len(piece.data)} bytes came, the server sent piece {place} of {size}",
            action="Pieces were lost on the way: try again from a machine nearer to the bus.",
        )


# -- restore -----------------------------------------------------------------------------------------------------------


async def restore_stream(
    client: Client, facts: StreamFacts, folder: Path, identity: Identity | None, *, replicas: int | None
) -> RestoredStream:
    """Bring one stream back; what was begun and fails is taken away again. The stream must not exist."""
    about = _configuration(folder / facts.configuration.path, identity)
    config = about["config"]
    if config.get("name") != facts.name or facts.name not in {stream.name for stream in STREAMS}:
        raise BackupFailed(
            f"{facts.configuration.path} is of a stream {str(config.get('name'))[:32]!r}, not {facts.name}",
            action="This is not the file that was written: take another backup.",
        )
    if replicas is not None:
        config["num_replicas"] = replicas
        # What goes with the number of copies, as in the table; it cannot be changed afterwards.
        config.pop("persist_mode", None)
        if replicas == 1 and stream_spec(facts.name).is_async_when_single:
            config["persist_mode"] = "async"
    # Refused for a stream that exists: what fails after this is of our making, and ours to take away.
    begun = await _asked(client, f"$JS.API.STREAM.RESTORE.{facts.name}", {"config": config, "state": about["state"]})
    try:
        answer = await _send(client, begun["deliver_subject"], pieces(folder / facts.content.path, identity))
        state = answer["state"]
        if state["last_seq"] != facts.last_seq:
            raise BackupFailed(
                f"stream {facts.name} came back with the last sequence {state['last_seq']}, it was {facts.last_seq}",
                action="The auditor could not go on from there: take another backup.",
            )
    except BaseException:
        await _take_away(client, facts.name, begun["deliver_subject"])
        raise
    return RestoredStream(facts.name, state["first_seq"], state["last_seq"], state["messages"])


def _configuration(path: Path, identity: Identity | None) -> dict[str, Any]:
    content = b""
    for piece in pieces(path, identity):
        content += piece
        if len(content) > CONFIGURATION_BYTES_MAX:
            break
    try:
        about = json.loads(content)
        if not isinstance(about["config"], dict) or not isinstance(about["state"], dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise BackupFailed(
            f"{path} does not hold a stream's configuration and state", action="Take another backup."
        ) from None
    found: dict[str, Any] = about
    return found


async def _send(client: Client, subject: str, content: Iterator[bytes]) -> dict[str, Any]:
    """Hand every piece to the server, each when it has taken the one before; returns what became of the stream."""
    while piece := await asyncio.to_thread(next, content, b""):
        answer = await client.request(subject, piece, timeout=ANSWER_SECONDS_MAX)
        if answer.data:
            return _checked(answer.data, subject)  # it has refused the content before the end
    answer = await client.request(subject, b"", timeout=FINISH_SECONDS_MAX)
    return _checked(answer.data, subject)


async def _take_away(client: Client, name: str, subject: str) -> None:
    """End a restore that failed, and delete what there is of its stream."""
    with suppress(nats.errors.Error):  # it may have ended already
        # An end that comes too early: the server stops waiting for more and says that the content is not whole.
        await client.request(subject, b"", timeout=ANSWER_SECONDS_MAX)
    if name in await names_on(client):
        await _asked(client, f"$JS.API.STREAM.DELETE.{name}", {})


async def _asked(client: Client, subject: str, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        answer = await client.request(subject, json.dumps(request).encode(), timeout=ANSWER_SECONDS_MAX)
    except nats.errors.NoRespondersError:
        raise BackupFailed(
            f"{subject}: this bus has no streams switched on, or no leader", action="Look at the server's log."
        ) from None
    except nats.errors.TimeoutError:
        raise BackupFailed(
            f"{subject}: no answer within {ANSWER_SECONDS_MAX:g} s",
            action="Is the server's configuration of this release? The provisioner must be permitted to ask this.",
        ) from None
    return _checked(answer.data, subject)


def _checked(data: bytes, subject: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise BackupFailed(
            f"{subject}: the server said: {answer['error'].get('description', answer['error'])}",
            action="Restore into an empty bus with room for every stream; a stream that exists is never overwritten.",
        )
    return answer
