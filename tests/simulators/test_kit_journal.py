"""The journal as judge of "exactly once in effect": what it holds, what it forgets, what outlives the process."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulators.kit.journal import BODY_BYTES_MAX, Entry, Journal, effects_by_external_id
from simulators.kit.lines import LineFile


def clock() -> datetime:
    return datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)


def record(journal: Journal, *, effect: str = "none", external_id: str | None = None, body: bytes = b"") -> Entry:
    return journal.record(
        method="POST",
        path="/api/v1/contacts",
        query={},
        body=body,
        status=201,
        fault=None,
        effect=effect,
        external_id=external_id,
        record_id=effect.split()[1] if " " in effect else None,
        request_id=None,
    )


def test_an_entry_says_what_was_asked_answered_and_done(titan: Any) -> None:
    titan.writer.patch(
        "/contacts/c-000002",
        json={"role": "NURSE", "email": "n@example.org", "externalId": "E2"},
        headers={"X-Request-Id": "request-7"},
        params={"trace": "yes"},
    )
    assert titan.journal() == [
        {
            "seq": 1,
            "time": "2026-11-22T08:00:00Z",
            "method": "PATCH",
            "path": "/api/v1/contacts/c-000002",
            "query": {"trace": "yes"},
            "body": {"role": "NURSE", "email": "n@example.org", "externalId": "E2"},
            "status": 200,
            "fault": None,
            "effect": "updated c-000002 [email, role]",
            "external_id": "E2",
            "record_id": "c-000002",
            "request_id": "request-7",
        }
    ]


def test_effects_are_listed_per_external_id_in_order_and_once_each(titan: Any) -> None:
    titan.create(externalId="X")
    titan.create(externalId="X")  # refused
    titan.writer.patch("/contacts/c-000011", json={"active": False})
    titan.writer.patch("/contacts/c-000011", json={"active": False})  # changes nothing
    titan.reader.get("/contacts/c-000011")
    titan.writer.delete("/contacts/c-000011")
    titan.create(externalId="X")
    titan.create()
    titan.writer.patch("/contacts/c-000001", json={"externalId": None})
    assert titan.effects() == {
        "X": ["created c-000011", "updated c-000011 [active]", "deleted c-000011", "created c-000012"],
        "c-000013": ["created c-000013"],
        "E1": ["updated c-000001 [externalId]"],
    }
    assert titan.control.get("/effects", params={"after_seq": 7}).json()["effects"].keys() == {"c-000013", "E1"}


def test_the_journal_can_be_read_from_where_one_left_off_and_for_effects_only(titan: Any) -> None:
    titan.create(externalId="X")
    titan.reader.get("/roles")
    titan.create(externalId="Y")
    assert [entry["seq"] for entry in titan.journal(after_seq=1)] == [2, 3]
    assert [entry["seq"] for entry in titan.journal(effects_only="true")] == [1, 3]
    assert titan.journal(after_seq=3) == []
    assert titan.control.get("/journal", params={"after_seq": "x"}).status_code == 400
    assert titan.control.get("/journal", params={"effects_only": "maybe"}).status_code == 400
    assert titan.control.get("/effects", params={"after_seq": "-1"}).status_code == 400


def test_what_falls_out_of_memory_is_counted_and_stays_in_the_file(start_titan: Any, tmp_path: Path) -> None:
    titan = start_titan(1, journal_entries_max=3, journal_file=tmp_path / "journal.jsonl")
    for _ in range(5):
        titan.reader.get("/roles")
    answer = titan.control.get("/journal").json()
    assert ([entry["seq"] for entry in answer["entries"]], answer["dropped"], answer["last_seq"]) == ([3, 4, 5], 2, 5)
    assert titan.control.get("/effects").json()["dropped"] == 2
    assert [line["seq"] for line in LineFile(tmp_path / "journal.jsonl").read()] == [1, 2, 3, 4, 5]


def test_a_journal_continues_its_file_and_drops_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    before = Journal(clock=clock, file=path)
    record(before, effect="created c-000001", external_id="X")
    before.close()
    with path.open("ab") as file:
        file.write(b'{"seq": 2, "effect": "crea')
    after = Journal(clock=clock, file=path)
    record(after, effect="updated c-000001 [role]", external_id="X")
    after.close()
    again = Journal(clock=clock, file=path)
    assert [entry["seq"] for entry in again.entries()] == [1, 2]
    assert effects_by_external_id(again.entries()) == {"X": ["created c-000001", "updated c-000001 [role]"]}


def test_a_file_that_is_no_journal_is_refused_by_place(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"seq": 1}\nnot json\n')
    with pytest.raises(ValueError, match=r"journal\.jsonl line 2 is not JSON"):
        list(LineFile(path).read())
    path.write_text("[1]\n")
    with pytest.raises(ValueError, match="line 1 is not a JSON object"):
        list(LineFile(path).read())


def test_bodies_are_kept_as_json_or_text_and_bounded() -> None:
    journal = Journal(clock=clock)
    assert record(journal, body=b"")["body"] is None
    assert record(journal, body=b'{"a": [1]}')["body"] == {"a": [1]}
    assert record(journal, body=b"{torn")["body"] == "{torn"
    long = record(journal, body=b'"' + b"x" * 100_000 + b'"')["body"]
    assert isinstance(long, str)
    assert len(long) == BODY_BYTES_MAX


def test_tokens_never_reach_the_journal(titan: Any) -> None:
    titan.create(externalId="X")
    assert "token" not in titan.control.get("/journal").text


def test_the_control_plane_leaves_no_trace_and_meets_no_fault(titan: Any) -> None:
    titan.arm("server_error", times=100)
    assert titan.control.get("/health").json() == {"status": "ok", "simulator": "titanhst", "last_seq": 0}
    assert titan.control.get("/state").status_code == 200
    assert titan.control.post("/journal").status_code == 404
    assert titan.control.get("/nothing").status_code == 404
    assert titan.control.post("/faults", content=b"{").status_code == 422
    assert titan.journal() == []
    assert titan.control.get("/faults").json()["struck"] == {}
