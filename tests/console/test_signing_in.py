"""Signing in and out, and what keeps a session: ASVS 5.0 chapters V6 (authentication) and V7 (sessions)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.console.accounts.accounts import REFUSED
from services.console.accounts.tables import session as session_table
from services.console.visiting import safe_path
from tests.console.account_seats import (
    PASSWORD,
    PEOPLE,
    Seats,
    act,
    cookie_of,
    csrf_in,
    seats_over,
    sign_in,
    words_of,
)
from tests.console.harness import ORIGIN


@pytest.fixture
async def seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seats]:
    """A console in which olga, an operator, has an account."""
    async with seats_over(tmp_path, monkeypatch) as made:
        await made.make("olga")
        yield made


async def test_name_and_password_open_a_session_that_is_told_and_leads_back(seats: Seats) -> None:
    async with seats.browser() as olga:
        answer = await sign_in(olga, "olga", next_path="/runs?state=held")
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs?state=held")
        page = await olga.get("/account")
    assert page.status_code == 200
    assert "operator" in page.text
    assert seats.told[-1] == ("signed_in", "olga", None)


async def test_unknown_name_and_wrong_password_are_told_alike(seats: Seats) -> None:
    """ASVS 6.3.8: nobody learns from an answer who has an account; 6.3.1: each is counted and told."""
    async with seats.browser() as somebody:
        answers = [
            await sign_in(somebody, "olga", "not her password"),
            await sign_in(somebody, "nobody-of-that-name", "not her password"),
            await sign_in(somebody, "vera", PASSWORD),  # a person of the house without an account
            await sign_in(somebody, "ol\x00ga", PASSWORD),
        ]
    assert {answer.status_code for answer in answers} == {403}
    assert words_of(answers) == {REFUSED}
    # A name that is nobody's may be a password in the wrong field: it is told without the name.
    assert [subject for what, _, subject in seats.told if what == "sign_in_refused"] == ["olga", None, None, None]


async def test_unknown_name_costs_as_many_hashes_as_a_known_one(seats: Seats, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASVS 6.3.8, by the time taken: the one slow step is taken for everybody."""
    compared: list[str | None] = []
    passwords = seats.accounts._passwords
    slow = passwords._compare

    def counting(password: str, known: str | None) -> bool:
        compared.append(known)
        return slow(password, known)

    monkeypatch.setattr(passwords, "_compare", counting)
    async with seats.browser() as somebody:
        await sign_in(somebody, "olga", "wrong")
        await sign_in(somebody, "nobody-of-that-name", "wrong")
    assert [known is None for known in compared] == [False, True]


async def test_browser_holds_the_only_copy_of_the_secret(seats: Seats) -> None:
    """ASVS 7.2.3: 256 random bits; what lies in the database opens nothing."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        secret = cookie_of(olga)
    (kept,) = await seats.accounts.store.sessions("olga")
    assert len(secret) >= 43
    assert secret not in {getattr(kept, column.name) for column in session_table.columns}
    assert await seats.accounts.visitor_of(kept.secret_hash) is None
    assert await seats.accounts.visitor_of(kept.id) is None


async def test_each_sign_in_takes_a_new_secret_and_ends_the_session_before_it(seats: Seats) -> None:
    """ASVS 7.2.4: nobody can set the secret of somebody else beforehand, and none is left behind."""
    async with seats.browser() as olga:
        olga.cookies.set("aether_session", "chosen-by-somebody-else", domain="console.test")
        await sign_in(olga, "olga")
        first = olga.cookies.get("aether_session", domain="console.test", path="/")
        assert first is not None and first != "chosen-by-somebody-else"
    async with seats.browser() as olga:
        olga.cookies.set("aether_session", first, domain="console.test")
        await sign_in(olga, "olga")
    assert await seats.accounts.visitor_of(first) is None
    assert len(await seats.accounts.store.sessions("olga")) == 1


async def test_cookie_is_out_of_reach_of_scripts_and_other_sites(seats: Seats) -> None:
    """ASVS 3.3.2, 3.3.4."""
    async with seats.browser() as olga:
        form = await olga.get("/sign-in")
        answer = await sign_in(olga, "olga")
    flags = answer.headers["set-cookie"].lower()
    assert "httponly" in flags and "samesite=lax" in flags and "path=/" in flags
    before = form.headers["set-cookie"].lower()
    assert "httponly" in before and "samesite=strict" in before and "path=/sign-in" in before


async def test_over_tls_the_cookie_is_secure_and_bound_to_the_host(seats: Seats) -> None:
    """ASVS 3.3.1, 3.3.3."""
    seats.under_test.console.origin = "https://console.test"
    async with seats.browser(origin="https://console.test") as olga:
        answer = await sign_in(olga, "olga")
        assert (await olga.get("/account")).status_code == 200
    flags = answer.headers["set-cookie"]
    assert flags.startswith("__Host-aether_session=")
    assert "Secure" in flags and "Domain" not in flags and "Path=/;" in flags + ";"


async def test_session_ends_when_nothing_is_asked_for_half_an_hour(seats: Seats) -> None:
    """ASVS 7.3.1."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        for _ in range(3):
            seats.turn(minutes=29)
            assert (await olga.get("/account")).status_code == 200
        seats.turn(minutes=31)
        answer = await olga.get("/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Faccount")
    assert seats.told[-1] == ("session_ended", None, "olga")
    assert await seats.accounts.store.sessions("olga") == ()


async def test_session_ends_after_ten_hours_however_much_is_asked(seats: Seats) -> None:
    """ASVS 7.3.2."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        for _ in range(29):
            seats.turn(minutes=20)
            assert (await olga.get("/account")).status_code == 200
        seats.turn(minutes=21)
        assert (await olga.get("/account")).status_code == 303


async def test_open_live_page_keeps_nobody_signed_in(seats: Seats) -> None:
    """ASVS 7.3.1: what the page asks by itself is no use by the person."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        secret = cookie_of(olga)
        for _ in range(2):
            seats.turn(minutes=14)
            assert await seats.accounts.is_open(secret)
        seats.turn(minutes=3)
        assert not await seats.accounts.is_open(secret)
        assert (await olga.get("/account")).status_code == 303


async def test_sessions_that_nobody_came_back_to_are_ended_and_told_at_the_next_sign_in(seats: Seats) -> None:
    await seats.make("vera")
    async with seats.browser() as olga, seats.browser() as vera:
        await sign_in(olga, "olga")
        seats.turn(hours=11)
        await sign_in(vera, "vera")
    assert ("session_ended", None, "olga") in seats.told
    assert [each.user for each in await seats.accounts.store.sessions()] == ["vera"]


async def test_sign_out_ends_the_session_on_the_server(seats: Seats) -> None:
    """ASVS 7.4.1: the secret opens nothing afterwards, wherever it was copied to."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        secret = cookie_of(olga)
        answer = await act(olga, "/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert "aether_session" not in olga.cookies
    assert await seats.accounts.visitor_of(secret) is None
    assert seats.told[-1] == ("signed_out", "olga", None)


async def test_person_ends_their_other_sessions_and_nobody_elses(seats: Seats) -> None:
    """ASVS 7.4.3, 7.5.2."""
    await seats.make("vera")
    async with seats.browser(**{"user-agent": "<script>laptop"}) as here, seats.browser() as there:
        await sign_in(here, "olga")
        await sign_in(there, "olga")
        page = await there.get("/account")
        assert "&lt;script&gt;laptop" in page.text and "<script>laptop" not in page.text
        mine = (await seats.accounts.visitor_of(cookie_of(here))).session  # type: ignore[union-attr]  # is signed in
        async with seats.browser() as vera:
            await sign_in(vera, "vera")
            assert (await act(vera, f"/account/sessions/{mine}/end")).status_code == 409
        assert (await here.get("/account")).status_code == 200
        assert (await act(there, f"/account/sessions/{mine}/end")).status_code == 303
        assert (await here.get("/account")).status_code == 303


async def test_admin_ends_a_session_of_anybody(seats: Seats) -> None:
    """ASVS 7.4.5."""
    await seats.make("adam")
    async with seats.browser() as olga, seats.browser() as adam:
        await sign_in(olga, "olga")
        await sign_in(adam, "adam")
        await seats.enrol(adam)
        (kept,) = await seats.accounts.store.sessions("olga")
        assert (await act(adam, f"/account/sessions/{kept.id}/end")).status_code == 303
        assert (await olga.get("/account")).status_code == 303
    assert ("session_ended", "adam", "olga") in seats.told


async def test_person_who_leaves_the_identities_file_is_out_at_once(seats: Seats) -> None:
    """ASVS 7.4.2."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        seats.write_people({user: roles for user, roles in PEOPLE.items() if user != "olga"})
        assert (await olga.get("/account")).status_code == 303
        assert words_of([await sign_in(olga, "olga")]) == {REFUSED}


async def test_roles_that_are_taken_or_given_count_at_once(seats: Seats) -> None:
    """ASVS 8.3.2."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        assert (await olga.get("/access")).status_code == 403
        seats.write_people({**PEOPLE, "olga": ["auditor", "operator"]})
        assert (await olga.get("/access")).status_code == 200
        seats.write_people({**PEOPLE, "olga": ["operator"]})
        assert (await olga.get("/access")).status_code == 403
        await sign_in(olga, "olga")
    # The file changed twice in between; what is told is the difference to what was seen last.
    assert [each for each in seats.told if each[0] == "roles_changed"] == []
    seats.write_people({**PEOPLE, "olga": ["viewer"]})
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
    assert ("roles_changed", None, "olga") in seats.told


async def test_broken_identities_file_neither_lets_in_nor_locks_out(seats: Seats) -> None:
    async with seats.browser() as olga, seats.browser() as stranger:
        await sign_in(olga, "olga")
        seats.identities.write_text('{"people": {"mallory": {"roles": ["admin"]}')
        assert (await olga.get("/account")).status_code == 200
        assert words_of([await sign_in(stranger, "mallory")]) == {REFUSED}


async def test_form_of_another_browser_signs_nobody_in(seats: Seats) -> None:
    """ASVS 3.5.1: a stranger cannot sign a person in as somebody else."""
    async with seats.browser() as stranger, seats.browser() as olga:
        token = csrf_in((await stranger.get("/sign-in")).text)
        await olga.get("/sign-in")
        for form in ({"csrf": token}, {"csrf": ""}, {}):
            answer = await olga.post("/sign-in", data={**form, "user": "olga", "password": PASSWORD})
            assert answer.status_code == 403
        fresh = seats.browser()
        answer = await fresh.post("/sign-in", data={"csrf": "", "user": "olga", "password": PASSWORD})
        assert answer.status_code == 403
        await fresh.aclose()
    assert await seats.accounts.store.sessions() == ()


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
async def test_act_from_another_site_is_refused_even_with_the_token(seats: Seats, headers: dict[str, str]) -> None:
    """ASVS 3.5.1."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        token = csrf_in((await olga.get("/account")).text)
        assert (await olga.post("/sign-out", data={"csrf": token}, headers=headers)).status_code == 403
        assert (await olga.get("/account")).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/sign-out", "/step-up", "/theme", "/account/password", "/account/second-factor", "/account/sessions/x/end"],
)
async def test_act_without_the_token_of_the_session_is_refused(seats: Seats, path: str) -> None:
    """ASVS 3.5.1."""
    async with seats.browser() as olga, seats.browser() as again:
        await sign_in(olga, "olga")
        await sign_in(again, "olga")
        foreign = csrf_in((await again.get("/account")).text)
        told = len(seats.told)
        for fields in ({}, {"csrf": "x"}, {"csrf": foreign}):
            answer = await olga.post(path, data={**fields, "password": PASSWORD, "old": PASSWORD})
            assert answer.status_code == 403
            assert "does not come from a page of this session" in answer.text
    assert len(seats.told) == told


@pytest.mark.parametrize(
    "given",
    [
        "//evil.test", "https://evil.test", "https:evil.test", "/\\evil.test", "\\\\evil.test", "/\t/evil.test",
        "javascript:alert(1)", "/a\r\nset-cookie: x=y", "http:/evil.test", "//[::1", "evil.test", "/" + "a" * 3_000,
    ],
)  # fmt: skip
async def test_sign_in_leads_to_no_other_site(seats: Seats, given: str) -> None:
    """ASVS 3.7.2."""
    assert safe_path(given) == "/"
    async with seats.browser() as olga:
        form = await olga.get("/sign-in", params={"next": given})
        assert 'name="next" value="/"' in form.text
        answer = await olga.post(
            "/sign-in", data={"csrf": csrf_in(form.text), "user": "olga", "password": PASSWORD, "next": given}
        )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_nothing_happens_that_cannot_be_told(seats: Seats) -> None:
    """ASVS 16.5.3: fails closed. No session, no end of one, no new account, no new password."""
    async with seats.browser() as olga, seats.browser() as other:
        await sign_in(olga, "olga")
        token = csrf_in((await olga.get("/account")).text)
        kept = await seats.accounts.store.account("olga")
        seats.bus["is_away"] = True
        answers: list[httpx.Response] = [
            await sign_in(other, "olga"),
            await olga.post("/step-up", data={"csrf": token, "password": PASSWORD}),
            await olga.post("/sign-out", data={"csrf": token}),
            await olga.post(
                "/account/password",
                data={"csrf": token, "old": PASSWORD, "new": "lantern river moss", "again": "lantern river moss"},
            ),
        ]
        assert [answer.status_code for answer in answers] == [503] * 4
        assert all("cannot be recorded" in answer.text for answer in answers)
        assert len(await seats.accounts.store.sessions()) == 1
        assert await seats.accounts.store.account("olga") == kept
        assert (await olga.get("/account")).status_code == 200


async def test_wrong_passwords_are_counted_while_the_bus_is_away(seats: Seats) -> None:
    """Tries are not free while nothing can be told."""
    seats.bus["is_away"] = True
    async with seats.browser() as somebody:
        for _ in range(5):
            assert (await sign_in(somebody, "olga", "wrong")).status_code == 503
    seats.bus["is_away"] = False
    async with seats.browser() as olga:
        assert words_of([await sign_in(olga, "olga")]) == {REFUSED}


async def test_step_up_renews_the_session_and_lasts_five_minutes(seats: Seats) -> None:
    """ASVS 7.2.4, 7.5.3: a new secret and token, the old is dead, the hours of the session do not begin anew."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        old, token = cookie_of(olga), csrf_in((await olga.get("/account")).text)
        (before,) = await seats.accounts.store.sessions("olga")
        refused = await act(olga, "/step-up", password="wrong", next="/runs")
        assert words_of([refused]) == {REFUSED}
        answer = await act(olga, "/step-up", password=PASSWORD, next="/runs")
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
        assert await seats.accounts.visitor_of(old) is None
        visitor = await seats.accounts.visitor_of(cookie_of(olga))
    assert visitor is not None and visitor.csrf != token
    assert visitor.is_stepped_up(seats.clock.now())
    seats.turn(minutes=5)
    assert not visitor.is_stepped_up(seats.clock.now())
    (after,) = await seats.accounts.store.sessions("olga")
    assert (after.expires_at, after.created_at) == (before.expires_at, before.created_at)


async def test_asked_by_nobody_each_page_leads_to_the_form_and_the_api_says_so(seats: Seats) -> None:
    async with seats.browser() as nobody:
        for path in ("/account", "/account/second-factor", "/step-up", "/access", "/step-up/provider"):
            answer = await nobody.get(path)
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")
        assert (await nobody.get("/api/v1/access")).status_code == 401
        hostile = await nobody.get("/sign-in", params={"next": '/"><script>alert(1)</script>'})
    assert "<script>alert" not in hostile.text
    assert hostile.headers["cache-control"] == "no-store"


async def test_name_is_shown_again_escaped(seats: Seats) -> None:
    async with seats.browser() as somebody:
        answer = await sign_in(somebody, '"><script>alert(1)</script>', "wrong")
    assert "<script>alert" not in answer.text and "&lt;script&gt;alert" in answer.text
    assert PASSWORD not in answer.text


async def test_colours_are_chosen_among_those_that_exist(seats: Seats) -> None:
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        answer = await act(olga, "/theme", theme='dark"; x=y', next="//evil.test")
        assert (answer.headers["location"], "=auto" in answer.headers["set-cookie"]) == ("/", True)
        assert "=dark" in (await act(olga, "/theme", theme="dark", next="/runs")).headers["set-cookie"]
    assert olga.base_url == ORIGIN
