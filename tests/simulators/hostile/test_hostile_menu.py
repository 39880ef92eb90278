"""The menu of nastinesses: a careful client meets every demand, a careless one is hurt, curl judges the accepted.

The careful client is tests/simulators/hostile/careful.py, on httpx. curl, where the machine has it, is the judge of
what the menu calls acceptable HTTP: a third party's reader of bytes that takes each of those answers without complaint.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import simulators.kit
from simulators.hostile import encodings
from simulators.hostile.menu import NASTINESSES, named
from simulators.hostile.script import ITEMS, Nastiness
from simulators.hostile.server import HostileServer, serving_hostile
from tests.simulators.hostile.careful import READERS, RefusedError

DEADLINE_SECONDS = 5.0
HASTY_SECONDS = 0.5
NEVER_ENDING = {"slow_drip_body", "slow_drip_head", "silence", "silence_after_head", "interim_answers_without_end"}
"""What only a deadline ends."""


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with serving_hostile() as running:
        yield running


def careful(
    server: HostileServer, name: str, resource: str = "items", *, seconds: float = DEADLINE_SECONDS
) -> list[dict[str, object]] | None:
    """What a careful client delivers; None when it refuses."""
    base = f"{server.url}/hostile/{name}" if name else server.url
    try:
        return asyncio.run(READERS[resource](base, deadline_seconds=seconds))
    except RefusedError:
        return None


@pytest.mark.parametrize("resource", ["items", "feed", "linked"])
def test_without_a_nastiness_every_item_comes(server: HostileServer, resource: str) -> None:  # H1, H2, H3, H4
    assert careful(server, "", resource) == list(ITEMS)


@pytest.mark.parametrize("nasty", NASTINESSES, ids=lambda nasty: nasty.name)
def test_a_careful_client_does_what_the_menu_demands(server: HostileServer, nasty: Nastiness) -> None:
    before = len(server.seen())
    seconds = HASTY_SECONDS if nasty.name in NEVER_ENDING else DEADLINE_SECONDS
    delivered = careful(server, nasty.name, nasty.resource, seconds=seconds)
    match nasty.expect:
        case "refuse":
            assert delivered is None
        case "accept":
            assert delivered == list(nasty.items)
        case "either":
            assert delivered is None or delivered == list(nasty.items)
    seen = server.seen()[before:]
    assert seen or nasty.name in NEVER_ENDING
    assert [entry for entry in seen if entry["listener"] == "stranger" or entry["has_cookie"]] == []


@pytest.mark.parametrize("count", [0, 1, 8, 9, 12, 13, 15, 16, 17, 40, 69, 70, 71, 72, 99, 100])
def test_an_answer_may_be_cut_at_any_byte(server: HostileServer, count: int) -> None:
    nasty = named(f"cut_at_{count}")
    assert nasty is not None
    assert nasty.expect == "refuse"
    assert careful(server, nasty.name) is None


def test_a_cut_behind_the_answer_leaves_it_whole(server: HostileServer) -> None:
    assert careful(server, "cut_at_5000") in (None, list(ITEMS))
    first = httpx.get(f"{server.url}/hostile/cut_at_5000/items?limit=3", trust_env=False)
    assert first.json()["items"] == list(ITEMS[:3])


def test_what_is_not_on_the_menu_is_not_served(server: HostileServer) -> None:
    assert named("cut_at_9999999") is None
    assert named("politeness") is None
    for path in ("politeness/items", "total_grows/feed", "cursor_repeats/items"):
        assert httpx.get(f"{server.url}/hostile/{path}", trust_env=False).status_code == 404


def test_the_menu_says_of_each_nastiness_what_it_is() -> None:
    assert len(NASTINESSES) > 150
    assert [nasty.name for nasty in NASTINESSES if not nasty.why.endswith((".", "?"))] == []
    assert {nasty.expect for nasty in NASTINESSES} == {"refuse", "accept", "either"}


@pytest.mark.parametrize(
    "nasty",
    [each for each in NASTINESSES if each.expect == "accept" and each.resource == "items"],
    ids=lambda n: n.name,
)
def test_curl_takes_what_the_menu_calls_acceptable(server: HostileServer, nasty: Nastiness) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("this machine has no curl")
    command = [
        curl,
        "-sS",
        "--fail",
        "--compressed",
        "--noproxy",
        "*",
        f"{server.url}/hostile/{nasty.name}/items?limit=3",
    ]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    delivered = [{"id": item["id"], "name": item["name"]} for item in json.loads(done.stdout)["items"]]
    assert delivered == list(nasty.items[:3])


def test_a_bomb_is_small_whole_and_enormous_once_unpacked(server: HostileServer) -> None:
    for name, at_most in (("gzip_bomb", 400_000), ("gzip_bomb_in_gzip", 10_000)):
        with httpx.stream(
            "GET", f"{server.url}/hostile/{name}/items", headers={"Accept-Encoding": "gzip"}, trust_env=False
        ) as answer:
            packed = b"".join(answer.iter_raw())
        assert len(packed) < at_most
        if name == "gzip_bomb":
            assert len(gzip.decompress(packed)) > encodings.BOMB_BYTES  # which also checks its checksum


def test_a_client_without_gzip_meets_the_same_size_unpacked(server: HostileServer) -> None:  # H5
    headers = {"Accept-Encoding": "identity"}
    with httpx.stream("GET", f"{server.url}/hostile/gzip_bomb/items", headers=headers, trust_env=False) as answer:
        read = 0
        for piece in answer.iter_raw():
            read += len(piece)
            if read > 8 * 1024 * 1024:
                break
    assert "content-encoding" not in answer.headers
    assert read > 8 * 1024 * 1024


def test_a_client_that_follows_redirects_is_seen_by_the_stranger(server: HostileServer) -> None:
    before = server.seen()[-1]["seq"] if server.seen() else 0
    address = f"{server.url}/hostile/redirect_to_plain_http/items"
    headers = {"X-Api-Key": "secret-of-the-tests"}
    answer = httpx.get(address, headers=headers, follow_redirects=True, trust_env=False)
    assert answer.json()["total"] == len(ITEMS)  # the lure: what the stranger answers looks right
    seen = server.seen(after_seq=before)
    assert [(entry["listener"], entry["has_credential"]) for entry in seen] == [("server", True), ("stranger", True)]


def test_a_client_that_keeps_a_spoiled_connection_reads_the_poison(server: HostileServer) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as sock:
        sock.sendall(b"GET /hostile/answer_with_another_behind_it/items HTTP/1.1\r\nHost: x\r\n\r\n")
        reader = sock.makefile("rb")
        length = 0
        while (line := reader.readline()) != b"\r\n":
            length = int(line.split(b":")[1]) if line.startswith(b"Content-Length") else length
        assert json.loads(reader.read(length))["items"][0]["id"] == 1
        # Nothing more was asked, and here is what the next request on this connection would get.
        assert reader.readline() == b"HTTP/1.1 200 OK\r\n"


def test_over_tls_the_way_to_plain_http_leads_out_of_it(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(certificate))
    with serving_hostile(tls=tls) as server, httpx.Client(base_url=server.url, verify=trust, trust_env=False) as client:
        assert server.url.startswith("https://")
        assert client.get("/items").json()["items"] == list(ITEMS[:2])
        away = client.get("/hostile/redirect_to_plain_http/items").headers["location"]
        assert away.startswith("http://127.0.0.1:")
        assert httpx.get(away, trust_env=False).json()["total"] == len(ITEMS)
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/hostile/cut_in_body/items")


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hostile")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = (folder / "certificate.pem", folder / "key.pem")
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def test_the_program_serves_prints_its_menu_and_ends_cleanly(tmp_path: Path) -> None:
    root = Path(simulators.kit.__file__).parents[2]
    command = [sys.executable, "-m", "simulators.hostile"]
    menu = subprocess.run([*command, "--menu"], cwd=root, capture_output=True, text=True, timeout=20, check=True)
    assert [line.split("\t")[0] for line in menu.stdout.splitlines()] == [nasty.name for nasty in NASTINESSES]
    ready_file = tmp_path / "ready.json"
    command += ["--ready-file", str(ready_file), "--switches", '{"nastiness": "json_null"}']
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 20
            while not ready_file.exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline
                time.sleep(0.01)
            url = json.loads(ready_file.read_text())["url"]
            assert httpx.get(f"{url}/items", trust_env=False).json() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert not ready_file.exists()
        finally:
            process.kill()


def test_a_careless_parser_takes_what_must_be_refused(server: HostileServer) -> None:
    def careless(name: str) -> dict[str, object]:
        answer = httpx.get(f"{server.url}/hostile/{name}/items?limit=3", trust_env=False)
        document: dict[str, object] = json.loads(answer.content)
        return document

    first = careless("json_infinite_number")["items"]
    assert isinstance(first, list)
    assert first[0]["id"] == float("inf")
    assert careless("total_too_low")["total"] == 1
    assert careless("error_with_honest_body") == careless("many_choices")


def test_a_switch_spoils_the_plain_list_after_some_honest_answers() -> None:
    with serving_hostile() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        changed = client.patch("/_sim/switches", json={"nastiness": "total_grows", "after": 1})
        assert changed.json() == {"nastiness": "total_grows", "after": 1}
        totals = [client.get("/items", params={"offset": str(offset)}).json()["total"] for offset in (0, 2, 4)]
        assert totals == [6, 9, 11]
        assert client.patch("/_sim/switches", json={"nastiness": "politeness"}).status_code == 422
        assert client.delete("/_sim/switches").json()["nastiness"] is None
        assert client.get("/items", params={"offset": "2"}).json()["total"] == 6
        assert client.get("/_sim/health").json()["stranger"] == server.stranger_url
        assert client.get("/_sim/journal").json()["last_seq"] == 4


def test_a_write_meets_the_same_frames(server: HostileServer) -> None:  # H6
    body = {"name": "New Sample"}
    honest = httpx.post(f"{server.url}/items", json=body, trust_env=False)
    assert (honest.status_code, honest.json()["id"]) == (201, 7)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{server.url}/hostile/cut_one_byte_short/items", json=body, trust_env=False)


@pytest.mark.parametrize("query", ["limit=4", "limit=0", "offset=-1", "offset=x"])
def test_a_page_outside_the_agreement_is_refused(server: HostileServer, query: str) -> None:  # H1
    assert httpx.get(f"{server.url}/items?{query}", trust_env=False).status_code == 400


def test_a_client_that_leaves_ends_the_slowest_answer() -> None:
    with serving_hostile() as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{server.url}/hostile/silence/items", timeout=0.1, trust_env=False)
        assert httpx.get(f"{server.url}/items", trust_env=False).status_code == 200
