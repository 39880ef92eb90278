"""Every fault of the menu, as a client on a real socket meets it, and what the journal says of it."""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from simulators.kit.faults import FAULTS_MAX, Fault, FaultKind, FaultMenu
from simulators.kit.paging import Page, Windows

PLAIN = {"firstName": "Ada", "lastName": "Sample", "role": "TEACHER", "locationCode": "TL-010"}


def raw_exchange(url: str, request: bytes) -> tuple[bytes, str]:
    """Send bytes, read to the end; return what came and how it ended: `closed` or `reset`."""
    host, port = url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(request)
        try:
            while chunk := sock.recv(65_536):
                received += chunk
        except ConnectionResetError:
            return received, "reset"
    return received, "closed"


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come true within 10 s"


def raw_create(external_id: str) -> bytes:
    body = json.dumps(PLAIN | {"externalId": external_id}).encode()
    return (
        b"POST /api/v1/contacts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer write-token-of-the-tests\r\n"
        b"X-Request-Id: r-1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def test_too_many_requests_says_when_to_come_back_and_has_no_effect(titan: Any) -> None:
    titan.arm("too_many_requests", retry_after_seconds=7)
    answer = titan.create(externalId="X")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json().keys() == {"message"}
    assert titan.effects() == {}
    assert titan.create(externalId="X").status_code == 201


def test_quota_and_capacity_have_their_statuses_and_no_effect(titan: Any) -> None:
    titan.arm("quota", retry_after_seconds=7)
    titan.arm("capacity")
    quota, capacity = titan.create(externalId="X"), titan.create(externalId="X")
    assert (quota.status_code, quota.headers["retry-after"], quota.json()["reason"]) == (403, "7", "quota")
    assert (capacity.status_code, capacity.json().keys()) == (402, {"message"})
    assert titan.effects() == {}
    assert titan.create(externalId="X").status_code == 201


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_error_has_the_status_asked_for_and_no_effect(titan: Any, status: int) -> None:
    titan.arm("server_error", status=status)
    assert titan.create(externalId="X").status_code == status
    assert titan.effects() == {}


def test_unauthorized_refuses_a_good_token_once(titan: Any) -> None:
    titan.arm("unauthorized")
    assert titan.create(externalId="X").status_code == 401
    assert titan.effects() == {}
    assert titan.create(externalId="X").status_code == 201


def test_html_page_is_a_login_page_under_200_without_effect(titan: Any) -> None:
    titan.arm("html_page")
    answer = titan.create(externalId="X")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<!doctype html>")
    assert titan.effects() == {}


def test_reset_after_effect_resets_the_socket_without_a_byte_and_the_effect_stays(titan: Any) -> None:
    titan.arm("reset_after_effect", method="POST")
    assert raw_exchange(titan.url, raw_create("X")) == (b"", "reset")
    assert titan.effects() == {"X": ["created c-000011"]}
    (entry,) = titan.journal()
    assert (entry["status"], entry["fault"], entry["request_id"]) == (None, "reset_after_effect", "r-1")


def test_reset_before_effect_resets_the_socket_and_nothing_happened(titan: Any) -> None:
    titan.arm("reset_before_effect")
    assert raw_exchange(titan.url, raw_create("X")) == (b"", "reset")
    (entry,) = titan.journal()
    assert (entry["status"], entry["fault"], entry["effect"]) == (None, "reset_before_effect", "none")
    assert titan.reader.get("/contacts/external/X").status_code == 404


def test_a_client_library_sees_a_cut_connection_as_an_error_and_can_go_on(titan: Any) -> None:
    titan.arm("reset_after_effect")
    with pytest.raises(httpx.TransportError):
        titan.create(externalId="X")
    assert titan.create(externalId="X").status_code == 409


def test_timeout_after_effect_withholds_the_answer_then_resets_and_others_are_served_meanwhile(titan: Any) -> None:
    titan.arm("timeout_after_effect", seconds=1.0, method="POST")
    ends: list[tuple[bytes, str]] = []
    thread = threading.Thread(target=lambda: ends.append(raw_exchange(titan.url, raw_create("X"))))
    started = time.monotonic()
    thread.start()
    wait_until(lambda: titan.effects() != {})  # the effect is judged before the answer would have left
    assert titan.reader.get("/contacts/external/X").status_code == 200
    assert ends == []
    thread.join(10)
    assert ends == [(b"", "reset")]
    assert time.monotonic() - started >= 1.0
    assert titan.effects() == {"X": ["created c-000011"]}
    assert titan.journal(effects_only=True)[0]["status"] is None


def test_timeout_after_effect_lets_a_client_give_up_first(titan: Any) -> None:
    titan.arm("timeout_after_effect", seconds=600)
    with pytest.raises(httpx.ReadTimeout):
        titan.writer.delete("/contacts/c-000001", timeout=0.2)
    assert titan.effects() == {"E1": ["deleted c-000001"]}


def test_stopping_the_simulator_does_not_wait_for_withheld_answers(start_titan: Any) -> None:
    titan = start_titan(1)
    ends: list[tuple[bytes, str]] = []
    titan.arm("timeout_after_effect", seconds=600, method="POST")
    thread = threading.Thread(target=lambda: ends.append(raw_exchange(titan.url, raw_create("X"))))
    thread.start()
    wait_until(lambda: titan.effects() != {})
    started = time.monotonic()
    titan.stop()
    thread.join(10)
    assert ends == [(b"", "reset")]
    assert time.monotonic() - started < 60.0


def test_slow_answers_late_but_honestly(titan: Any) -> None:
    titan.arm("slow", seconds=0.5)
    started = time.monotonic()
    answer = titan.create(externalId="X")
    assert time.monotonic() - started >= 0.5
    assert (answer.status_code, answer.json()["externalId"]) == (201, "X")
    assert titan.journal()[0]["status"] == 201


def test_torn_body_is_half_the_json_under_200_with_the_length_of_the_half(titan: Any) -> None:
    whole = titan.reader.get("/contacts").content
    titan.arm("torn_body")
    torn = titan.reader.get("/contacts")
    assert (torn.status_code, torn.headers["content-type"]) == (200, "application/json")
    assert torn.content == whole[: len(whole) // 2]
    assert int(torn.headers["content-length"]) == len(torn.content)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        torn.json()


def test_torn_body_on_writes_comes_after_the_effect(titan: Any) -> None:
    titan.arm("torn_body", times=2)
    for answer in (titan.create(externalId="X"), titan.writer.delete("/contacts/c-000001")):
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            answer.json()
    assert titan.effects() == {"X": ["created c-000011"], "E1": ["deleted c-000001"]}


def test_short_page_loses_items_for_clients_that_count_what_they_got(titan: Any) -> None:
    titan.arm("short_page", after=1, items_missing=2)
    ids, total = walk(titan, limit=4, by_items=True)
    assert total == 10
    assert ids == [f"c-{number:06d}" for number in (1, 2, 3, 4, 5, 6, 9, 10)]


def test_short_page_loses_items_for_clients_that_step_by_the_limit(titan: Any) -> None:
    titan.arm("short_page", items_missing=1)
    ids, total = walk(titan, limit=4, by_items=False)
    assert total == 10
    assert len(ids) < total
    assert "c-000004" not in ids


def test_short_page_ends_with_its_walk(titan: Any) -> None:
    titan.arm("short_page", after=1)
    assert len(walk(titan, limit=4, by_items=True)[0]) == 9
    assert walk(titan, limit=4, by_items=True)[0] == [f"c-{number:06d}" for number in range(1, 11)]


def test_repeated_page_serves_the_previous_items_and_never_spoils_a_first_page(titan: Any) -> None:
    titan.arm("repeated_page")
    pages = [titan.reader.get("/contacts", params={"offset": offset, "limit": 4}).json() for offset in (0, 4, 8)]
    assert pages[1] == pages[0]
    assert [item["id"] for item in pages[2]["items"]] == ["c-000009", "c-000010"]


def test_lying_success_answers_like_an_honest_success_and_does_nothing(titan: Any) -> None:
    before = titan.control.get("/state").json()
    titan.arm("lying_success", times=3)
    assert titan.reader.get("/contacts/c-000001").status_code == 200  # a read does not use the fault up
    created = titan.create(externalId="X")
    changed = titan.writer.patch("/contacts/c-000001", json={"role": "NURSE"})
    deleted = titan.writer.delete("/contacts/c-000002")
    assert (created.status_code, created.json()["id"]) == (201, "c-000011")
    assert (changed.status_code, changed.json()["role"]) == (200, "NURSE")
    assert deleted.status_code == 204
    assert titan.control.get("/state").json() == before
    assert titan.effects() == {}
    assert [entry["fault"] for entry in titan.journal()] == [None] + ["lying_success"] * 3


def test_lying_success_still_refuses_what_is_invalid(titan: Any) -> None:
    titan.arm("lying_success")
    assert titan.create(role="WIZARD").status_code == 422


def test_faults_strike_only_the_method_and_path_they_name_and_only_so_often(titan: Any) -> None:
    titan.arm("server_error", method="PATCH", path_pattern=r"/contacts/c-00000[12]$", times=2, after=1)
    paths = ["c-000003", "c-000001", "c-000002", "c-000001", "c-000002"]
    answers = [titan.writer.patch(f"/contacts/{path}", json={"active": False}).status_code for path in paths]
    assert answers == [200, 200, 503, 503, 200]
    assert titan.reader.get("/contacts/c-000001").status_code == 200


def test_the_first_armed_fault_takes_the_request_and_the_next_waits(titan: Any) -> None:
    titan.arm("unauthorized")
    titan.arm("server_error")
    assert titan.control.get("/faults").json()["armed"] == [
        {"kind": "unauthorized", "seen": 0, "struck": 0},
        {"kind": "server_error", "seen": 0, "struck": 0},
    ]
    assert [titan.reader.get("/roles").status_code for _ in range(3)] == [401, 503, 200]
    assert titan.control.get("/faults").json() == {"armed": [], "struck": {"unauthorized": 1, "server_error": 1}}


def test_disarming_leaves_an_honest_vendor(titan: Any) -> None:
    titan.arm("server_error", times=1_000)
    assert titan.reader.get("/roles").status_code == 503
    assert titan.control.delete("/faults").json() == {"disarmed": 1}
    assert titan.reader.get("/roles").status_code == 200


def test_equal_seeds_strike_the_same_requests_at_about_the_chance_given() -> None:
    def strikes(seed: int) -> list[bool]:
        menu = FaultMenu()
        menu.arm([Fault(kind=FaultKind.SLOW, probability=0.2, seed=seed, times=10_000)])
        return [menu.take(method="GET", path="/", page=None) is not None for _ in range(1_000)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 130 < sum(strikes(1)) < 270


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"kind": "meteor"}, "kind"),
        ({}, "kind"),
        ({"kind": "slow", "secnds": 3}, "secnds"),
        ({"kind": "slow", "status": 503}, "status"),
        ({"kind": "server_error", "status": 418}, "status"),
        ({"kind": "server_error", "seconds": 1}, "seconds"),
        ({"kind": "slow", "seconds": 601}, "seconds"),
        ({"kind": "slow", "times": 0}, "times"),
        ({"kind": "slow", "probability": 0.5}, "seed"),
        ({"kind": "slow", "path_pattern": "("}, "path_pattern"),
        ({"kind": "lying_success", "method": "GET"}, "lying_success"),
        ({"kind": "short_page", "method": "POST"}, "short_page"),
        ("slow", "1: "),
    ],
)
def test_faults_that_make_no_sense_are_refused_by_name_and_arm_nothing(
    shared_titan: Any, fault: Any, named: str
) -> None:
    answer = shared_titan.control.post("/faults", json=[{"kind": "unauthorized"}, fault])
    assert answer.status_code == 422
    assert named in answer.json()["message"]
    assert shared_titan.control.get("/faults").json()["armed"] == []


def test_the_menu_is_bounded() -> None:
    menu = FaultMenu()
    menu.arm([Fault(kind=FaultKind.SLOW)] * FAULTS_MAX)
    with pytest.raises(ValueError, match="1000 faults are armed and 1 more"):
        menu.arm([Fault(kind=FaultKind.SLOW)])


def test_two_short_pages_in_one_walk_add_up() -> None:
    windows = Windows()

    def page(offset: int) -> Page:
        return Page(collection="contacts", offset=offset, limit=4, total=12)

    assert windows.short(page(0), items_missing=1) == slice(0, 3)
    assert windows.short(page(3), items_missing=1) == slice(4, 7)
    assert windows.honest(page(6)) == slice(8, 12)


def walk(titan: Any, *, limit: int, by_items: bool) -> tuple[list[str], int]:
    """Read all pages the way a client does that trusts the vendor."""
    ids: list[str] = []
    offset = 0
    total = 0
    for _ in range(20):
        page = titan.reader.get("/contacts", params={"offset": offset, "limit": limit}).json()
        total = page["total"]
        ids += [item["id"] for item in page["items"]]
        if not page["items"]:
            break
        offset += len(page["items"]) if by_items else limit
    return ids, total
