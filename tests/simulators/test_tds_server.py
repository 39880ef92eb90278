"""The simulated SQL Server beyond its queries: seeds, state, faults, wire, switches, SQLAlchemy and the program."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

import simulators.tds
from simulators.district.__main__ import make
from simulators.kit.serve import serving
from simulators.tds.control import control_app
from simulators.tds.faults import Fault, FaultKind, Faults
from simulators.tds.from_district import AERIES_DATABASE, HR_DATABASE, schema_of, write_store
from simulators.tds.server import TdsConfig, TdsServer, serving_tds
from simulators.tds.store import TdsStore
from tests.simulators.running_tds import (
    DATABASE,
    PASSWORD,
    asked,
    by_pymssql,
    by_pytds,
    column,
    many,
    running_tds,
    seed,
)

START_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[TdsServer]:
    with running_tds(seed(MANY=many(3_000))) as running:
        yield running


# Seeds and state.


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"columns": [column("A", "int")], "rows": [[1, 2]]}, "row 0: 2 values for 1 columns"),
        ({"columns": [column("A", "tinyint")], "rows": [[0], [256]]}, r"row 1, A: 256 does not fit tinyint"),
        ({"columns": [column("A", "char(2)")], "rows": [["abc"]]}, "row 0, A: text of 3 characters"),
        ({"columns": [column("A", "varchar(2)")], "rows": [["漢"]]}, "row 0, A: .* code page 1252"),
        ({"columns": [column("A", "int", nullable=False)], "rows": [[None]]}, "row 0, A: null"),
        ({"columns": [column("A", "datetime")], "rows": [["1700-01-01"]]}, "row 0, A: .* 1753"),
        ({"columns": [column("A", "decimal(4,2)")], "rows": [["123.45"]]}, "row 0, A: .* 5 digits"),
        ({"columns": [column("A", "int")], "rows": [{"B": 1}]}, "row 0: no column B"),
        ({"columns": [column("A", "int", nullable=False)], "key": ["A"], "rows": [[1], [1]]}, "UNIQUE"),
        ({"columns": [column("A", "int")], "key": ["A"]}, "not nullable"),
        ({"columns": [column("A", "int"), column("a", "int")]}, "named twice"),
        ({"columns": [column("A", "json")]}, "no type that is simulated"),
        ({"columns": []}, "at least 1"),
    ],
)
def test_a_seed_no_server_could_hold_is_refused_by_place_value_and_rule(  # T01
    tmp_path: Path, table: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        TdsStore.create(tmp_path, seed(BAD=table))


def test_a_login_for_what_is_not_there_is_refused(tmp_path: Path) -> None:  # T01
    document = seed()
    document["logins"]["reader"]["databases"]["NOPE"] = {}
    with pytest.raises(ValueError, match="there is no database NOPE"):
        TdsStore.create(tmp_path, document)


def test_the_state_goes_out_and_in_unchanged(tmp_path: Path) -> None:  # T34
    first = TdsStore.create(tmp_path / "a", seed()).document()
    second = TdsStore.create(tmp_path / "b", json.loads(json.dumps(first))).document()
    assert first == second


def test_rows_that_are_not_given_stay_and_a_refused_change_changes_nothing(tmp_path: Path) -> None:
    store = TdsStore.create(tmp_path, seed())
    document = seed()
    for table in document["databases"][DATABASE]["tables"].values():
        del table["rows"]
    again = TdsStore.create(tmp_path, document)
    assert again.document() == store.document()
    with pytest.raises(ValueError, match="row 1"):
        again.replace_rows(DATABASE, "STF", [[9, *[None] * 7], [9]])
    assert TdsStore.open(tmp_path).document() == store.document()


def test_the_control_plane_shows_and_changes_what_runs() -> None:  # T34
    with ExitStack() as stack:
        running = stack.enter_context(running_tds())
        url = stack.enter_context(serving(control_app(running.house)))
        with httpx.Client(base_url=f"{url}/_sim", timeout=10.0, trust_env=False) as control:
            assert control.get("/health").json()["simulator"] == "tds"
            assert asked(running, "SELECT COUNT(*) FROM STF") == [(4,)]
            state = control.get("/state").json()
            state["databases"][DATABASE]["tables"]["STF"]["rows"] = []
            assert control.put("/state", json=state).status_code == 204
            assert asked(running, "SELECT COUNT(*) FROM STF") == [(0,)]
            with pytest.raises(Exception, match="229"):
                asked(running, "INSERT INTO STF (ID) VALUES (471104711)")
            violations = control.get("/violations").json()["violations"]
            assert [entry["rule"] for entry in violations] == ["T21"]
            assert control.get("/state").json()["violations"] == violations
            entries = control.get("/journal").json()["entries"]
            assert entries[-1]["text"] == "INSERT INTO STF (ID) VALUES (?)"
            assert "471104711" not in json.dumps(entries) + json.dumps(violations)
            assert control.put("/state", json={"databases": 1}).status_code == 422
            assert control.patch("/switches", json={"shuffle_without_order": True}).json()["shuffle_without_order"]
            assert control.patch("/switches", json={"encryption": "perhaps"}).status_code == 422
            assert control.post("/faults", json={"kind": "deadlock", "table_pattern": "STF"}).status_code == 201
            assert control.post("/faults", json={"kind": "reset", "seconds": 3}).status_code == 422
            with pytest.raises(Exception, match="1205"):
                asked(running, "SELECT ID FROM STF")
            assert control.get("/faults").json() == {"armed": [], "struck": {"deadlock": 1}}
            assert control.get("/nothing").status_code == 404


def test_an_open_connection_sees_a_replaced_state() -> None:  # T34
    with running_tds() as running, closing(by_pytds(running, autocommit=True)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT COUNT(*) FROM STF")
        assert cursor.fetchall() == [(4,)]
        document = seed(FRESH={"columns": [column("A", "int")], "rows": [[5]]})
        running.house.write_state(document)
        cursor.execute("SELECT A FROM FRESH")
        assert cursor.fetchall() == [(5,)]


# Faults.


def test_a_fault_that_can_never_strike_is_refused() -> None:
    for options in ({"kind": "reset", "seconds": 1}, {"kind": "refuse_login", "table_pattern": "x"}, {"kind": "nope"},
                    {"kind": "hang", "table_pattern": "("}, {"kind": "deadlock", "number": 1}):  # fmt: skip
        with pytest.raises(ValidationError):
            Fault.model_validate(options)


def test_a_fault_strikes_as_often_as_it_says_and_after_what_it_says() -> None:
    faults = Faults()
    faults.arm(Fault(kind=FaultKind.DEADLOCK, table_pattern=r"\.STF$", after=1, times=2))
    struck = [faults.at_query([f"D.dbo.{table}"]) is not None for table in ("STF", "TCH", "STF", "STF", "STF")]
    assert struck == [False, False, True, True, False]


def test_a_short_result_looks_whole(server: TdsServer) -> None:  # T26
    server.faults.arm(Fault(kind=FaultKind.SHORT_RESULT, table_pattern="MANY", rows_missing=7))
    assert len(asked(server, "SELECT ID FROM MANY ORDER BY ID")) == 2_993
    assert len(asked(server, "SELECT ID FROM MANY ORDER BY ID")) == 3_000


def test_an_error_of_ones_own_comes_after_its_rows(server: TdsServer) -> None:  # T26
    server.faults.arm(Fault(kind=FaultKind.ERROR, number=1222, message="Lock request time out.", after_rows=2))
    with closing(by_pytds(server)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT ID FROM STF ORDER BY ID")
        assert [cursor.fetchone(), cursor.fetchone()] == [(1,), (2,)]
        with pytest.raises(Exception, match="Lock request time out"):
            cursor.fetchone()


def test_a_refused_connection_and_a_refused_login_pass(server: TdsServer) -> None:  # T26
    server.faults.arm(Fault(kind=FaultKind.REFUSE_LOGIN))
    with pytest.raises(Exception, match="18456"):
        by_pymssql(server)
    server.faults.arm(Fault(kind=FaultKind.REFUSE_CONNECTION))
    with socket.create_connection((server.host, server.port)) as sock, pytest.raises(ConnectionResetError):
        sock.recv(1)
    assert asked(server, "SELECT 1") == [(1,)]


def test_a_slow_answer_is_whole_and_late(server: TdsServer) -> None:  # T26
    server.faults.arm(Fault(kind=FaultKind.SLOW, table_pattern="STF", seconds=0.3))
    started = time.monotonic()
    assert asked(server, "SELECT COUNT(*) FROM STF") == [(4,)]
    assert time.monotonic() - started >= 0.3


# The wire.


def prelogin(encryption: int) -> bytes:
    body = struct.pack(">BHH", 0, 11, 6) + struct.pack(">BHH", 1, 17, 1) + b"\xff" + bytes(6) + bytes((encryption,))
    return struct.pack(">BBHHBB", 18, 1, len(body) + 8, 0, 0, 0) + body


def answer(sock: socket.socket) -> tuple[int, bytes]:
    head = sock.recv(8, socket.MSG_WAITALL)
    if len(head) < 8:
        return 0, b""
    kind, _, size = struct.unpack(">BBH4x", head)
    return kind, sock.recv(size - 8, socket.MSG_WAITALL)


@pytest.mark.parametrize(
    ("mode", "wanted", "said"),
    [("optional", 0, 0), ("optional", 1, 1), ("optional", 2, 2), ("optional", 3, 1), ("not_supported", 1, 2),
     ("required", 0, 3), ("required", 1, 1), ("required", 2, 3)],
)  # fmt: skip
def test_encryption_is_agreed_on_as_the_protocol_says(mode: str, wanted: int, said: int) -> None:  # T02
    with running_tds(encryption=mode) as running, socket.create_connection((running.host, running.port)) as sock:
        sock.settimeout(10)
        sock.sendall(prelogin(wanted))
        kind, body = answer(sock)
        assert kind == 4
        offset = next(struct.unpack_from(">H", body, at + 1)[0] for at in range(0, 25, 5) if body[at] == 1)
        assert body[offset] == said
        if mode == "required" and wanted == 2:
            assert sock.recv(1) == b""


def test_the_certificate_can_be_checked() -> None:  # T03
    with running_tds() as running:
        context = ssl.create_default_context(cafile=str(running.certificate_file))
        assert context.get_ca_certs()[0]["subject"] == (((("commonName", "localhost"),),))


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x12\x01\x00\x04", bytes(64), b"\x10\x01\x00\x09\0\0\0\0\0"]
)
def test_what_is_no_tds_ends_the_connection_and_nothing_else(server: TdsServer, sent: bytes) -> None:  # T05
    with socket.create_connection((server.host, server.port)) as sock:
        sock.settimeout(10)
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    assert asked(server, "SELECT 1") == [(1,)]


def login_answer(server: TdsServer, body: bytes) -> tuple[int, int]:
    """The first token and its error number, after a login packet of this body."""
    with socket.create_connection((server.host, server.port)) as sock:
        sock.settimeout(10)
        sock.sendall(prelogin(2))
        answer(sock)
        sock.sendall(struct.pack(">BBHHBB", 16, 1, len(body) + 8, 0, 0, 0) + body)
        kind, told = answer(sock)
        assert kind == 4
        assert sock.recv(1) == b""
        return told[0], struct.unpack_from("<i", told, 3)[0]


def test_a_login_packet_that_lies_about_its_lengths_is_refused(server: TdsServer) -> None:  # T05
    body = struct.pack("<IIIIII", 94, 0x74000004, 4096, 0, 0, 0) + bytes(12) + b"\xff\xff" * 30
    assert login_answer(server, body) == (0xAA, 4002)


@pytest.mark.parametrize(("version", "flags", "number"), [(0x72090002, 0, 17809), (0x74000004, 0x80, 18452)])
def test_an_old_protocol_and_an_integrated_login_are_refused(  # T07
    server: TdsServer, version: int, flags: int, number: int
) -> None:
    body = struct.pack("<IIIIII", 94, version, 4096, 0, 0, 0) + bytes((0, flags, 0, 0)) + bytes(8)
    body += struct.pack("<HH", 94, 0) * 9 + bytes(22)
    assert login_answer(server, body) == (0xAA, number)


def test_small_packets_carry_large_rows() -> None:  # T06
    with running_tds(packet_bytes_max=512) as running:
        ((text,),) = asked(running, "SELECT NM FROM [EVERY] WHERE N = 1")
        assert text == "漢" * 5000


# SQLAlchemy.


@pytest.fixture(scope="module")
def engine(server: TdsServer) -> Iterator[sa.Engine]:
    url = sa.URL.create(
        "mssql+pymssql", username="reader", password=PASSWORD, host=server.host, port=server.port, database=DATABASE
    )
    made = sa.create_engine(url)
    yield made
    made.dispose()


def test_sqlalchemy_connects_reflects_and_selects(server: TdsServer, engine: sa.Engine) -> None:  # T23
    before = len(server.violations)
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        assert inspector.get_table_names() == ["EVERY", "MANY", "STF"]
        assert inspector.has_table("STF")
        assert not inspector.has_table("SECRET")
        table = sa.Table("STF", sa.MetaData(), autoload_with=connection)
        assert [str(each.type).split(" COLLATE")[0] for each in table.columns] == [
            "INTEGER", "CHAR(10)", "NVARCHAR(20)", "CHAR(1)", "DATETIME", "DECIMAL(5, 2)", "BIT", "SMALLINT",
        ]  # fmt: skip
        assert [each.name for each in table.primary_key.columns] == ["ID"]
        assert not table.c.ID.nullable
        query = sa.select(table.c.ID).where(table.c.LN == "ADA").order_by(table.c.ID)
        assert connection.scalars(query).all() == [1, 4]
        assert connection.scalars(query.limit(1)).all() == [1]
        assert connection.scalars(query.offset(1).limit(5)).all() == [4]
        assert connection.get_isolation_level() == "READ COMMITTED"
    with engine.connect().execution_options(isolation_level="SNAPSHOT") as connection:
        level: str = connection.get_isolation_level()
        assert level == "SNAPSHOT"
        assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 4
    assert len(server.violations) == before


def test_sqlalchemy_streams(engine: sa.Engine) -> None:  # T16
    with engine.connect().execution_options(stream_results=True, max_row_buffer=100) as connection:
        found = connection.exec_driver_sql("SELECT ID FROM MANY ORDER BY ID")
        assert [row[0] for row in found] == list(range(3_000))


# The sample district and the program.


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("district")
    make(out=folder, staff=400)
    return folder


def test_the_district_reads_as_it_was_written(district: Path, tmp_path: Path) -> None:  # T35
    counts = write_store(tmp_path, aeries_file=district / "aeries.db", hr_file=district / "hr.db", password=PASSWORD)
    with serving_tds(TdsConfig(store=tmp_path)) as running:
        for file, database in (("aeries.db", AERIES_DATABASE), ("hr.db", HR_DATABASE)):
            with closing(sqlite3.connect(district / file)) as written:
                for (table,) in written.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    ((count,),) = written.execute(f"SELECT COUNT(*) FROM {table}").fetchall()
                    assert counts[f"{database}.{table}"] == count
                    assert asked(running, f"SELECT COUNT(*) FROM {table}", database=database) == [(count,)]
                    texts = written.execute(f"SELECT * FROM {table}").fetchall()
                    for row, read in zip(
                        texts, asked(running, f"SELECT * FROM {table}", database=database), strict=True
                    ):
                        for value, came in zip(row, read, strict=True):
                            if isinstance(value, str) and isinstance(came, str):
                                assert came == value
                            assert (value is None) == (came is None)


def test_the_districts_schema_has_bits_padded_codes_and_names_of_any_script() -> None:  # T35
    schema = schema_of(password="p")
    staff = {each["name"]: each["type"] for each in schema["databases"][AERIES_DATABASE]["tables"]["STF"]["columns"]}
    assert (staff["DEL"], staff["TG"], staff["LN"], staff["HD"]) == ("bit", "char(1)", "nchar(50)", "datetime")


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    ready = folder / "ready.json"
    command = [sys.executable, "-m", "simulators.tds", "--ready-file", str(ready), *arguments]
    root = Path(simulators.tds.__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while not ready.exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline, "the program was not ready in time"
                time.sleep(0.01)
            yield process, json.loads(ready.read_text())
        finally:
            process.kill()


def test_the_program_serves_a_seed_and_ends_cleanly(tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text(json.dumps(seed()))
    store = tmp_path / "store"
    with program(tmp_path, "--state", str(tmp_path / "seed.json"), "--store", str(store)) as (process, address):
        import pymssql

        with (
            closing(
                pymssql.connect(
                    server=address["host"],
                    port=str(address["port"]),
                    user="reader",
                    password=PASSWORD,
                    database=DATABASE,
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT COUNT(*) FROM STF")
            assert list(cursor.fetchall()) == [(4,)]
        health = httpx.get(f"{address['control_url']}/_sim/health", trust_env=False).json()
        assert health["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert not (tmp_path / "ready.json").exists()
    with program(tmp_path, "--store", str(store)) as (process, address):
        assert address["pid"] == process.pid


def test_the_program_says_why_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text('{"databases": {}}')
    command = [sys.executable, "-m", "simulators.tds", "--state", str(tmp_path / "seed.json")]
    root = Path(simulators.tds.__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"cannot start" in done.stderr
