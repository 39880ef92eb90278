"""The simulated Aeries before a client that others wrote: aeripy, unmodified, over a real socket with TLS.

aeripy speaks to https only and offers a file of trusted certificates, so a forwarder with a certificate of its own
stands before the simulator. Its records are dataclasses with exactly the vendor's properties: one too many or too few
is a TypeError. What it cannot do: it sends neither an Accept header for JSON nor a DatabaseYear; it takes one school
and one staff member as an object only; its calls for one absence code and one bell schedule fail in its own code; it
does not page, and knows no students.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aeripy import Aeripy
from aeripy.exceptions import AeripyException
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.simulators.running_aeries_api import CERTIFICATE, RunningAeries, running_aeries

READ_BYTES_MAX = 65_536
START_SECONDS_MAX = 10.0


def make_certificate(folder: Path) -> Path:
    """One file with a key and a certificate for this machine that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    return path


class Forwarder:
    """Takes TLS connections and hands their bytes on, both ways, until it is stopped."""

    def __init__(self, certificate: Path, port: int) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        self.port = 0

    def __enter__(self) -> Forwarder:
        self._thread.start()
        assert self._ready.wait(START_SECONDS_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(START_SECONDS_MAX)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopped.wait()
        server.close()
        await server.wait_closed()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        onward = asyncio.ensure_future(_copy(reader, back))
        await _copy(there, writer)
        await onward


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_BYTES_MAX):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    writer.close()


@pytest.fixture
def aeries() -> Iterator[RunningAeries]:
    with running_aeries(single_school="object") as running:
        yield running


@pytest.fixture
def judge(aeries: RunningAeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aeripy]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    certificate = make_certificate(tmp_path)
    with Forwarder(certificate, int(aeries.url.rpartition(":")[2])) as forwarder:
        yield Aeripy(f"127.0.0.1:{forwarder.port}/aeries/api", CERTIFICATE, ssl_verify=str(certificate))


def test_the_judge_reads_the_system_and_its_years(judge: Aeripy) -> None:
    info = judge.get_system_info()
    assert (info.database_year, info.available_database_years) == ("2026-2027", ["2026-2027", "2025-2026"])
    assert info.local_time_zone_name == "(UTC-08:00) Pacific Time (US & Canada)"


def test_the_judge_reads_schools_terms_and_calendars(judge: Aeripy) -> None:
    schools = judge.get_schools()
    assert [school.school_code for school in schools] == [0, 501, 502, 503, 999]
    assert judge.get_school(501) == schools[1]
    assert [term.term_code for term in judge.get_terms(501)] == ["F", "Y"]
    assert [day.calendar_day_number for day in judge.get_calendar(501)] == [1]
    assert [code.absence_code for code in judge.get_absence_codes(501)] == ["A"]
    assert [bell.period for bell in judge.get_bell_schedules(501)] == [1]


def test_the_judge_reads_staff(judge: Aeripy) -> None:
    everyone = judge.get_staff()
    assert [member.id for member in everyone] == [901, 902, 903]
    assert judge.get_staff(902) == everyone[1]
    assert everyone[1].human_resources_system_id == "000902"
    assert everyone[0].leave_date == "2026-06-05T00:00:00"


def test_the_judge_inserts_and_updates_staff(judge: Aeripy, aeries: RunningAeries) -> None:
    made = judge.insert_staff({"id": 910, "first_name": "Flo", "last_name": "Four", "title": "Aide"})
    assert (made.id, made.first_name, made.title) == (910, "Flo", "Aide")
    changed = judge.update_staff({"human_resources_system_id": "E0910"}, staff_id=910)
    assert changed.human_resources_system_id == "E0910"
    assert judge.update_staff({"last_name": "New"}, staff_id=911).id == 911
    assert aeries.effects() == {
        "910": ["created 910"],
        "E0910": ["updated 910 [HumanResourcesSystemID]"],
        "911": ["created 911"],
    }


def test_the_judge_meets_refusals_as_refusals(judge: Aeripy) -> None:
    with pytest.raises(AeripyException, match="404"):
        judge.get_school(777)
    with pytest.raises(AeripyException, match="404"):
        judge.get_staff(777)


def test_the_judge_breaks_no_rule_but_the_two_it_cannot_keep(judge: Aeripy, aeries: RunningAeries) -> None:
    judge.get_schools()
    judge.get_staff()
    assert set(aeries.violations()) == {"A7", "A8"}
