"""Proving who asks without code: every kind of proof, what becomes of one that ends, and whose it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shared.errors import NeedsPerson
from tests.conformance.bench import Vendor
from tests.simulators.alerts.running_alerts import BEARER, ID, KEY, SECRET, Klaxon
from tests.systems.http.klaxon import OAUTH, ends, read

TOKENS = {"kind": "oauth2_client_credentials", "token_path": "/authorization/v1/tokens"}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "none": ({"kind": "none"}, {}, {"auth": "none"}),
    "basic": ({"kind": "basic"}, {"user": ID, "password": "env:PASSWORD"}, {"auth": "basic"}),
    "header": (
        {"kind": "header", "name": "X-Alert-Key"},
        {"key": "env:KEY"},
        {"auth": "header_key", "key_header": "x-alert-key"},
    ),
    "bearer": ({"kind": "bearer"}, {"token": "env:TOKEN"}, {"auth": "bearer"}),
    "oauth2 in a form": ({**TOKENS, "send": "form"}, dict(OAUTH), {"auth": "oauth2", "proof_place": "body"}),
    "oauth2 in the header": ({**TOKENS, "send": "basic"}, dict(OAUTH), {"auth": "oauth2", "proof_place": "basic"}),
}  # fmt: skip
WRONG: dict[str, dict[str, Any]] = {
    "basic": {"user": ID, "password": "env:WRONG"},
    "header": {"key": "env:WRONG"},
    "bearer": {"token": "env:WRONG"},
    "oauth2 in a form": {"client_id": ID, "client_secret": "env:WRONG"},
    "oauth2 in the header": {"client_id": ID, "client_secret": "env:WRONG"},
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_proof_is_accepted(klaxon: Klaxon, tmp_path: Path, kind: str) -> None:
    auth, proof, switches = KINDS[kind]
    klaxon.switch(**switches)
    async with ends(klaxon.url, tmp_path, interface={"auth": auth}) as house:
        assert len((await read(house.source(proof=proof)))[0]) == 25


@pytest.mark.parametrize("kind", WRONG)
async def test_a_proof_that_nobody_knows_needs_a_person_and_is_not_told(
    klaxon: Klaxon, tmp_path: Path, kind: str
) -> None:
    auth, _, switches = KINDS[kind]
    klaxon.switch(**switches)
    async with ends(klaxon.url, tmp_path, interface={"auth": auth}) as house:
        source = house.source(proof=WRONG[kind])
        with pytest.raises(NeedsPerson) as caught:
            await read(source)
        assert caught.value.code == "SRC_AUTH"
        findings = await source.check()
        assert [(finding.subject, finding.is_good) for finding in findings] == [("authentication", False)]
        told = f"{caught.value} {dict(caught.value.facts)} {findings}"
        assert not any(secret in told for secret in (SECRET, KEY, BEARER, "secret-that-nobody-knows"))


async def test_one_token_serves_many_requests(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house, Vendor(klaxon.url) as vendor:
        before = len(await vendor.journal())
        source = house.source()
        await read(source)
        await read(source)
        asked = (await vendor.journal())[before:]
        assert sum(entry["path"].endswith("/tokens") for entry in asked) == 1


async def test_a_token_that_ends_half_way_is_renewed(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(auth="oauth2", token_seconds=100)
    async with ends(klaxon.url, tmp_path) as house:
        pages = aiter(house.source(pages_in_flight=1).read("contacts"))
        rows = (await anext(pages)).rows.height
        klaxon.clock.seconds += 101  # on the vendor's clock alone: ours still thinks it good
        async for page in pages:
            rows += page.rows.height
        assert rows == 25


async def test_a_proof_that_stays_refused_is_asked_for_once_more_and_no_further(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house, Vendor(klaxon.url) as vendor:
        before = await vendor.struck()
        await vendor.arm("unauthorized", path_pattern="/v1/contacts$", times=50)
        with pytest.raises(NeedsPerson) as caught:
            await read(house.source())
        assert (caught.value.code, await vendor.struck() - before) == ("SRC_AUTH", 2)


async def test_a_source_never_shows_the_credential_that_writes(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        proof = {**OAUTH, "write_client_id": "other", "write_client_secret": "env:WRONG"}
        assert len((await read(house.source(proof=proof)))[0]) == 25
        target = house.target(proof=proof)
        with pytest.raises(NeedsPerson) as caught:
            await target.fetch("contacts", target_id=None, key="E1")
        assert caught.value.code == "APL_AUTH", "the target shows the other one, which the vendor does not know"


@pytest.mark.parametrize(
    ("kind", "text", "proof"),
    [
        ({"kind": "bearer"}, "line\r\nX-Other: 1", {"token": "env:BAD"}),
        ({"kind": "header", "name": "x-api-key"}, "", {"key": "env:BAD"}),
        ({"kind": "basic"}, "tab\there", {"user": ID, "password": "env:BAD"}),
        ({**TOKENS, "send": "form"}, "nul\x00", {"client_id": ID, "client_secret": "env:BAD"}),
    ],
)
async def test_a_secret_that_cannot_be_sent_is_refused_before_anything_is(
    klaxon: Klaxon, tmp_path: Path, kind: dict[str, Any], text: str, proof: dict[str, Any]
) -> None:
    async with ends(klaxon.url, tmp_path, secrets={"env:BAD": text}, interface={"auth": kind}) as house:
        with pytest.raises(NeedsPerson, match="env:BAD") as caught:
            house.source(proof=proof)
        assert caught.value.code == "SYS_SECRET"
        assert not text or text not in str(caught.value)


async def test_settings_hold_only_what_the_kind_of_proof_needs(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        with pytest.raises(NeedsPerson, match=r"settings\.token: Extra inputs") as caught:
            house.source(proof={**OAUTH, "token": "env:TOKEN"})
        assert caught.value.code == "SRC_CONFIG"
        with pytest.raises(NeedsPerson, match=r"settings\.client_secret: Field required"):
            house.source(proof={"client_id": ID})
        with pytest.raises(NeedsPerson, match=r"settings\.parameters\.organization_id: String should match"):
            house.source(parameters={"organization_id": "9001&idType=x"})
        with pytest.raises(NeedsPerson, match=r"settings\.page_limit: .*less than or equal to 1000"):
            house.source(page_limit=1001)
