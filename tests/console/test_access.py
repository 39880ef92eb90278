"""The page of access: who may do what, reviews that bind what was shown, the export, and what admins may do."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from services.console.accounts.accounts import REFUSED
from services.console.pages.access import COLUMNS
from services.console.pages.access_view import conflict_of
from shared.policy.approval import Person
from tests.console.account_seats import PASSWORD, PEOPLE, Seats, act, csrf_in, seats_over, sign_in, words_of

NOTE = "Went through all six; vera leaves in June."


@pytest.fixture
async def seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seats]:
    """A console whose admin need not carry a telephone; those rules have tests of their own."""
    async with seats_over(tmp_path, monkeypatch, require_second_factor=False) as made:
        yield made


@asynccontextmanager
async def signed_in(seats: Seats, user: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of that person."""
    await seats.make(user)
    async with seats.browser() as browser:
        assert (await sign_in(browser, user)).status_code == 303
        yield browser


async def test_page_shows_each_person_with_roles_duties_and_account(seats: Seats) -> None:
    async with signed_in(seats, "ida") as ida:
        page = await ida.get("/access")
        model = (await ida.get("/api/v1/access")).json()
    by_user = {one["user"]: one for one in model["people"]}
    assert {user: one["roles"] for user, one in by_user.items()} == PEOPLE
    assert (by_user["anna"]["duties"], by_user["anna"]["account"]) == (["approves"], "none")
    assert (by_user["ida"]["account"], by_user["ida"]["sessions"]) == ("open", 1)
    assert all(f'<th scope="row">{user}' in page.text for user in PEOPLE)
    assert "/invite" not in page.text  # an auditor looks


@pytest.mark.parametrize("user", ["anna", "olga", "stan", "vera"])
async def test_who_neither_audits_nor_administers_sees_nothing(seats: Seats, user: str) -> None:
    """ASVS 8.2.1."""
    async with signed_in(seats, user) as browser:
        for path in ("/access", "/access/export.csv", "/api/v1/access"):
            assert (await browser.get(path)).status_code == 403
        for path in ("/access/review", "/access/people/ida/invite", "/access/people/ida/close"):
            assert (await act(browser, path, digest="x", note=NOTE)).status_code == 403
    assert not [each for each in seats.told if each[0] in {"exported", "access_reviewed"}]


@pytest.mark.parametrize("act_name", ["invite", "close", "open"])
async def test_auditor_changes_no_account(seats: Seats, act_name: str) -> None:
    """ASVS 8.2.1: who reviews does not give."""
    await seats.make("olga")
    before = await seats.accounts.store.account("olga")
    async with signed_in(seats, "ida") as ida:
        assert (await act(ida, f"/access/people/olga/{act_name}")).status_code == 403
    assert await seats.accounts.store.account("olga") == before


async def test_duties_that_meet_in_one_person_are_said(seats: Seats) -> None:
    assert conflict_of(["operator"]) is None
    assert "never the same run" in (conflict_of(["operator", "approver"]) or "")
    assert "reviews them" in (conflict_of(["admin", "auditor"]) or "")
    seats.write_people({**PEOPLE, "olga": ["operator", "approver"]})
    async with signed_in(seats, "ida") as ida:
        assert "requests and approves, though never the same run" in (await ida.get("/access")).text


async def test_account_whose_person_has_left_is_still_shown(seats: Seats) -> None:
    await seats.make("vera")
    seats.write_people({user: roles for user, roles in PEOPLE.items() if user != "vera"})
    async with signed_in(seats, "ida") as ida:
        assert "not in the identities file" in (await ida.get("/access")).text


async def test_review_is_told_and_kept_with_what_was_shown(seats: Seats) -> None:
    async with signed_in(seats, "ida") as ida:
        digest = (await ida.get("/api/v1/access")).json()["digest"]
        answer = await act(ida, "/access/review", digest=digest, note="<script>alert(1)</script> " + NOTE)
        assert answer.status_code == 303
        page = await ida.get("/access")
    assert ("access_reviewed", "ida", None) in seats.told
    assert seats.under_test.told[-1]["detail"] == {"digest": digest, "people": "6"}
    (kept,) = await seats.accounts.store.reviews(limit=5)
    assert (kept.by, kept.digest, kept.people) == ("ida", digest, 6)
    assert "(as it is now)" in page.text
    assert "&lt;script&gt;alert" in page.text and "<script>alert" not in page.text


async def test_review_of_what_is_no_longer_so_is_refused(seats: Seats) -> None:
    async with signed_in(seats, "ida") as ida:
        digest = (await ida.get("/api/v1/access")).json()["digest"]
        seats.write_people({**PEOPLE, "vera": ["admin"]})
        answer = await act(ida, "/access/review", digest=digest, note=NOTE)
        assert answer.status_code == 409 and "has changed since the page was shown" in answer.text
        short = (await ida.get("/api/v1/access")).json()["digest"]
        answer = await act(ida, "/access/review", digest=short, note="  seen   ")
        assert answer.status_code == 409 and "at least 10" in answer.text
    assert await seats.accounts.store.reviews(limit=5) == ()
    assert not [each for each in seats.told if each[0] == "access_reviewed"]


async def test_lock_by_failed_tries_makes_no_review_stale(seats: Seats) -> None:
    await seats.make("olga")
    async with signed_in(seats, "ida") as ida, seats.browser() as guesser:
        before = (await ida.get("/api/v1/access")).json()["digest"]
        for _ in range(5):
            await sign_in(guesser, "olga", "wrong")
        after = (await ida.get("/api/v1/access")).json()
        assert {one["account"] for one in after["people"] if one["user"] == "olga"} == {"locked"}
        assert after["digest"] == before


async def test_review_that_cannot_be_told_is_not_kept(seats: Seats) -> None:
    async with signed_in(seats, "ida") as ida:
        page = await ida.get("/access")
        digest = (await ida.get("/api/v1/access")).json()["digest"]
        seats.bus["is_away"] = True
        answer = await ida.post("/access/review", data={"csrf": csrf_in(page.text), "digest": digest, "note": NOTE})
        assert answer.status_code == 503
        assert (await ida.get("/access/export.csv")).status_code == 503
    assert await seats.accounts.store.reviews(limit=5) == ()


async def test_export_is_told_and_holds_no_formula(seats: Seats, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASVS 1.2.10."""
    hostile = ['=HYPERLINK("https://evil.test")', "+1", "-1", "@sum", "\tx", "\r=x", "\n=x"]
    people = {user: Person(roles=("viewer",)) for user in [*hostile, 'a,"b"']}
    async with signed_in(seats, "ida") as ida:
        everybody = {**seats.accounts.people.all(), **people}
        monkeypatch.setattr(seats.accounts.people, "all", lambda: everybody)
        answer = await ida.get("/access/export.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="access.csv"'
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert tuple(header) == COLUMNS
    names = {row[0] for row in rows}
    assert names == {*PEOPLE, 'a,"b"', *(f"'{name}" for name in hostile)}
    assert not any(cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} for row in rows for cell in row if cell)
    assert ("exported", "ida", "access") in seats.told


async def test_admin_makes_an_account_whose_password_is_shown_once(seats: Seats) -> None:
    """ASVS 6.4.1, 6.4.6: random, and to be changed; the admin never learns the one that counts."""
    async with signed_in(seats, "adam") as adam, seats.browser() as olga:
        answer = await act(adam, "/access/people/olga/invite")
        password = re.search(r"shown this once: <code>([^<]+)</code>", answer.text)
        assert answer.status_code == 200 and password is not None and len(password[1]) >= 20
        assert answer.headers["cache-control"] == "no-store"
        assert password[1] not in (await adam.get("/access")).text
        assert (await sign_in(olga, "olga", password[1], next_path="/runs")).headers["location"] == "/account"
    assert ("account_created", "adam", "olga") in seats.told
    assert password[1] not in str(seats.under_test.told)


async def test_reset_ends_sessions_second_factor_and_lock(seats: Seats) -> None:
    """ASVS 6.4.3, 7.4.2."""
    async with signed_in(seats, "adam") as adam, signed_in(seats, "olga") as olga, seats.browser() as guesser:
        await seats.enrol(olga)
        for _ in range(5):
            await sign_in(guesser, "olga", "wrong")
        assert (await act(adam, "/access/people/olga/invite")).status_code == 200
        assert (await olga.get("/account")).status_code == 303
    account = await seats.accounts.store.account("olga")
    assert account is not None
    assert (account.sealed_secret, account.locked_until, account.failures, account.must_change) == (None, None, 0, True)


@pytest.mark.parametrize(("user", "why"), [("anna", "approves plans"), ("adam", "nobody resets their own account")])
async def test_reset_takes_over_neither_an_approver_nor_an_admins_own_open_session(
    seats: Seats, user: str, why: str
) -> None:
    await seats.make("anna")
    async with signed_in(seats, "adam") as adam:
        before = await seats.accounts.store.account(user)
        answer = await act(adam, f"/access/people/{user}/invite")
        assert answer.status_code in {403, 409} and why in answer.text
        assert f"/access/people/{user}/invite" not in (await adam.get("/access")).text
    assert await seats.accounts.store.account(user) == before


async def test_nobody_outside_of_the_house_gets_an_account(seats: Seats) -> None:
    async with signed_in(seats, "adam") as adam:
        for user in ("mallory", "%3Cscript%3Ealert(1)", "a%00b", "x" * 3_000):
            answer = await act(adam, f"/access/people/{user}/invite")
            assert answer.status_code == 409 and "<script>alert" not in answer.text
            assert (await act(adam, f"/access/people/{user}/close")).status_code in {409, 503}
    assert [each.user for each in await seats.accounts.store.accounts()] == ["adam"]


async def test_closed_account_is_out_at_once_and_back_when_opened(seats: Seats) -> None:
    """ASVS 7.4.2."""
    async with signed_in(seats, "adam") as adam, signed_in(seats, "olga") as olga:
        assert (await act(adam, "/access/people/olga/close")).status_code == 303
        assert (await olga.get("/account")).status_code == 303
        assert words_of([await sign_in(olga, "olga")]) == {REFUSED}
        assert (await act(adam, "/access/people/adam/close")).status_code == 409  # never one's own
        assert (await act(adam, "/access/people/olga/open")).status_code == 303
        assert (await sign_in(olga, "olga", PASSWORD)).status_code == 303
    assert ("account_disabled", "adam", "olga") in seats.told


async def test_account_act_that_cannot_be_told_is_not_done(seats: Seats) -> None:
    await seats.make("olga")
    before = await seats.accounts.store.account("olga")
    async with signed_in(seats, "adam") as adam:
        token = csrf_in((await adam.get("/access")).text)
        seats.bus["is_away"] = True
        for path in ("olga/invite", "olga/close", "vera/invite"):
            assert (await adam.post(f"/access/people/{path}", data={"csrf": token})).status_code == 503
    assert await seats.accounts.store.account("olga") == before
    assert await seats.accounts.store.account("vera") is None
