"""ParentSquare on the bench: staff on a drop box over SFTP, the other files in a folder."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from shared.ports.connections import Connection
from shared.ports.wire import Record
from simulators.sftp.server import SftpConfig, serving_sftp
from tests.conformance.bench import Bench, Observed, Writing
from tests.support.systems import installed_systems

ENTITIES = ("schools", "students", "staff")
ROWS = 25
SECRETS = {"env:BOX": "drop-box-password-of-the-bench", "env:OLD": "password-that-nobody-knows"}
COLUMNS = {
    "schools": ("school_id", "name"),
    "students": ("student_id", "school_id", "first_name", "last_name", "grade"),
    "staff": ("staff_id", "school_id", "first_name", "last_name", "email", "phone"),
}
SAMPLES = {
    "school_id": "010",
    "name": "Ash-Grove Elementary",
    "first_name": "Wilhelmina",
    "last_name": "Ash-Grove",
    "grade": "-1",
    "email": "w@district.example",
    "phone": "+17145550100",
}


Places = tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]
"""Settings for: the files, a place that does not answer, a login that is refused."""


@asynccontextmanager
async def opened(entity: str, folder: Path) -> AsyncIterator[Bench]:
    """One file, with the others beside it."""
    with _drop_box(folder) if entity == "staff" else _folder(folder) as (there, nowhere, unknown):
        file = folder / f"in/{entity}.csv"

        async def make_empty() -> None:
            await asyncio.to_thread(file.write_text, _text(entity, 0), newline="")

        observed = Observed()
        registry = installed_systems(surroundings=observed.surroundings(SECRETS))
        source = registry.open_source(_connection(there))
        refused = registry.open_source(_connection(unknown)) if unknown is not None else None
        unreachable = registry.open_source(_connection(nowhere))
        target = registry.open_target(_connection(there))
        yield Bench(
            source=source,
            entity=entity,
            rows=ROWS,
            unreachable=unreachable,
            refused=refused,
            make_empty=make_empty,
            sensitive=frozenset({"Wilhelmina", "Ash-Grove", "w@district.example", *SECRETS.values()}),
            surroundings=observed,
            writing=Writing(
                target=target,
                wire=registry.wire("parentsquare"),
                new=lambda number: _record(entity, f"N/{number} ü"),
                change=dict.fromkeys(COLUMNS[entity][1:], "Changed"),
                key=COLUMNS[entity][0],
                can=frozenset({"create", "update", "delete"}),
                write_path=f"/{entity}",
            ),
        )
        for each in (source, refused, unreachable, target):
            if each is not None:
                await each.close()


@contextmanager
def _folder(folder: Path) -> Iterator[Places]:
    folder.joinpath("in").mkdir()
    for name in ENTITIES:
        folder.joinpath(f"in/{name}.csv").write_text(_text(name, ROWS), newline="")
    yield {"folder": str(folder / "in")}, {"folder": str(folder / "not-mounted")}, None


@contextmanager
def _drop_box(folder: Path) -> Iterator[Places]:
    files = {f"/in/{name}.csv": _text(name, ROWS) for name in ENTITIES}
    config = SftpConfig(user="district", password=SECRETS["env:BOX"], root=folder, seed={"files": files})
    with serving_sftp(config) as server, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        sftp = {
            "host": server.host,
            "port": server.port,
            "known_hosts": [server.known_hosts_line],
            "folder": "/in",
            "user": "district",
            "password": "env:BOX",
            "timeout_seconds": 5,
        }
        port = nobody.getsockname()[1]
        yield {"sftp": sftp}, {"sftp": {**sftp, "port": port}}, {"sftp": {**sftp, "password": "env:OLD"}}
        assert server.box.read_state()["violations"] == []


def _connection(place: dict[str, Any]) -> Connection:
    settings = {**place, "page_rows": 10}
    return Connection(name="square", system="parentsquare", environment="staging", settings=settings)


def _record(entity: str, key: str) -> Record:
    columns = COLUMNS[entity]
    return {columns[0]: key, **{name: SAMPLES[name] for name in columns[1:]}}


def _text(entity: str, rows: int) -> str:
    lines = [",".join(f'"{name}"' for name in COLUMNS[entity])]
    lines += [",".join(f'"{value}"' for value in _record(entity, f"K{n}").values()) for n in range(1, rows + 1)]
    return "".join(f"{line}\r\n" for line in lines)
