"""The second factor: who needs one, codes that count once, recovery codes, and what the key seals (ASVS 5.0, V6)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from services.console.accounts.accounts import REFUSED
from services.console.accounts.second_factor import Sealing, new_secret, picture_of, recovery_codes, step_of
from services.console.accounts.tables import recovery_code
from tests.console.account_seats import (
    KEY,
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


@pytest.fixture
async def seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seats]:
    """A console in which anna, an approver, has an account."""
    async with seats_over(tmp_path, monkeypatch) as made:
        await made.make("anna")
        yield made


@pytest.mark.parametrize("user", ["anna", "stan", "adam"])
async def test_whoever_decides_needs_a_second_factor_before_the_roles_count(seats: Seats, user: str) -> None:
    """ASVS 6.3.3."""
    await seats.make(user)
    async with seats.browser() as somebody:
        assert (await sign_in(somebody, user, next_path="/runs")).headers["location"] == "/account"
        visitor = await seats.accounts.visitor_of(cookie_of(somebody))
        assert visitor is not None and visitor.roles == frozenset()
        assert "set up a second factor" in (await somebody.get("/account")).text
        await seats.enrol(somebody)
        visitor = await seats.accounts.visitor_of(cookie_of(somebody))
        assert visitor is not None and visitor.roles == set(PEOPLE[user])
    assert ("second_factor_changed", user, user) in seats.told


async def test_role_that_is_given_during_a_session_waits_for_the_second_factor(seats: Seats) -> None:
    """ASVS 6.3.3: an open session of an operator is no way to approve without one."""
    await seats.make("olga")
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        visitor = await seats.accounts.visitor_of(cookie_of(olga))
        assert visitor is not None and visitor.roles == {"operator"}
        seats.write_people({**PEOPLE, "olga": ["approver"]})
        visitor = await seats.accounts.visitor_of(cookie_of(olga))
        assert visitor is not None and visitor.roles == frozenset()


async def test_code_is_asked_for_only_after_the_right_password(seats: Seats) -> None:
    """ASVS 6.3.8."""
    async with seats.browser() as anna:
        await sign_in(anna, "anna")
        await seats.enrol(anna)
    async with seats.browser() as anna:
        assert words_of([await sign_in(anna, "anna", "wrong")]) == {REFUSED}
        answer = await sign_in(anna, "anna")
        assert answer.status_code == 200 and "Now the code of your second factor" in answer.text
        assert PASSWORD not in answer.text
        assert "aether_session" not in anna.cookies


async def test_code_counts_once(seats: Seats) -> None:
    """ASVS 6.5.1."""
    async with seats.browser() as anna, seats.browser() as thief:
        await sign_in(anna, "anna")
        secret, _ = await seats.enrol(anna)
        # The code that set it up is used as well.
        assert words_of([await sign_in(thief, "anna", code=seats.code(secret))]) == {REFUSED}
        seats.turn(seconds=60)
        code = seats.code(secret)
        assert (await sign_in(anna, "anna", code=f" {code[:3]} {code[3:]} ")).status_code == 303
        assert words_of([await sign_in(thief, "anna", code=code)]) == {REFUSED}
        assert words_of([await sign_in(thief, "anna", code=seats.code(secret, steps=-1))]) == {REFUSED}


@pytest.mark.parametrize(("steps", "is_taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_clocks_may_differ_by_one_step(seats: Seats, steps: int, is_taken: bool) -> None:
    """ASVS 6.5.5: a code is good for its half minute and the ones beside it."""
    secret = new_secret()
    code = seats.code(secret, steps=steps)
    assert (step_of(code, secret, now=seats.clock.now(), after=None) is not None) is is_taken


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "1e3456", "0x1234"])
def test_what_is_no_code_is_refused(seats: Seats, code: str) -> None:
    assert step_of(code, new_secret(), now=seats.clock.now(), after=None) is None


async def test_wrong_codes_lock_the_account(seats: Seats) -> None:
    """ASVS 6.3.1: the second factor is guessed as little as the password."""
    async with seats.browser() as anna:
        await sign_in(anna, "anna")
        secret, _ = await seats.enrol(anna)
    seats.turn(seconds=60)
    wrong = f"{(int(seats.code(secret)) + 500_000) % 1_000_000:06}"
    async with seats.browser() as thief:
        for _ in range(5):
            assert (await sign_in(thief, "anna", code=wrong)).status_code == 403
        assert (await sign_in(thief, "anna", code=seats.code(secret))).status_code == 403


async def test_recovery_code_counts_once_and_is_kept_as_a_hash(seats: Seats) -> None:
    """ASVS 6.5.1, 6.5.2, 6.5.3."""
    async with seats.browser() as anna:
        await sign_in(anna, "anna")
        _, codes = await seats.enrol(anna)
        assert len(set(codes)) == 8
        typed = codes[0].upper().replace("-", " ")
        assert (await sign_in(anna, "anna", code=typed)).status_code == 303
        assert words_of([await sign_in(anna, "anna", code=codes[0])]) == {REFUSED}
    assert await seats.accounts.store.count(recovery_code) == 7
    hashes = {row["code_hash"] for row in await seats.accounts.store._rows(select(recovery_code))}
    assert not hashes & {form for code in codes for form in (code, code.replace("-", ""))}


def test_recovery_codes_are_eighty_random_bits_each() -> None:
    codes = recovery_codes() + recovery_codes()
    assert len(set(codes)) == 16
    assert all(re.fullmatch(r"([0-9a-f]{5}-){3}[0-9a-f]{5}", code) for code in codes)


async def test_recovery_code_of_another_person_is_none(seats: Seats) -> None:
    await seats.make("adam")
    async with seats.browser() as anna, seats.browser() as adam:
        await sign_in(anna, "anna")
        await sign_in(adam, "adam")
        _, annas = await seats.enrol(anna)
        await seats.enrol(adam)
        assert words_of([await sign_in(adam, "adam", code=annas[0])]) == {REFUSED}


async def test_second_factor_is_replaced_only_after_proof_and_ends_other_sessions(seats: Seats) -> None:
    """ASVS 7.5.1, 7.4.3: an open session alone takes nobody's second factor over."""
    async with seats.browser() as anna, seats.browser() as there:
        await sign_in(anna, "anna")
        secret, codes = await seats.enrol(anna)
        answer = await anna.get("/account/second-factor")
        assert answer.headers["location"] == "/step-up?next=%2Faccount%2Fsecond-factor"
        other = new_secret()
        sealed = seats.accounts.seal_for("anna", other)
        refused = await act(anna, "/account/second-factor", sealed=sealed, code=seats.code(other))
        assert refused.status_code == 422 and "Prove again who you are" in refused.text
        assert (await sign_in(there, "anna", code=codes[0])).status_code == 303
        assert (await act(anna, "/step-up", password=PASSWORD, code=codes[1])).status_code == 303
        fresh, _ = await seats.enrol(anna)
        assert fresh != secret
        assert (await there.get("/account")).status_code == 303
        seats.turn(seconds=60)
        assert words_of([await sign_in(there, "anna", code=seats.code(secret))]) == {REFUSED}
        assert words_of([await sign_in(there, "anna", code=codes[2])]) == {REFUSED}  # the old ones are gone
        assert (await sign_in(there, "anna", code=seats.code(fresh))).status_code == 303


async def test_setting_one_up_asks_for_a_fresh_sign_in(seats: Seats) -> None:
    async with seats.browser() as anna:
        await sign_in(anna, "anna")
        seats.turn(minutes=6)
        assert (await anna.get("/account/second-factor")).headers["location"].startswith("/step-up")


async def test_secret_comes_back_unread_and_unchanged_or_not_at_all(seats: Seats) -> None:
    await seats.make("stan")
    async with seats.browser() as anna, seats.browser() as stan:
        await sign_in(anna, "anna")
        await sign_in(stan, "stan")
        page = await anna.get("/account/second-factor")
        sealed = re.search(r'name="sealed" value="([^"]+)"', page.text)
        assert sealed is not None
        token = csrf_in(page.text)
        for text in ("", "x", "A" * 80, sealed[1][:-4] + "AAAA", "\udc80".encode("utf-8", "replace").decode(), "é"):
            answer = await anna.post("/account/second-factor", data={"csrf": token, "sealed": text, "code": "000000"})
            assert answer.status_code == 409
        assert (await act(stan, "/account/second-factor", sealed=sealed[1], code="000000")).status_code == 409
        wrong = await anna.post("/account/second-factor", data={"csrf": token, "sealed": sealed[1], "code": "nothing"})
        assert wrong.status_code == 422 and "does not fit" in wrong.text


async def test_factor_that_was_sealed_under_another_key_is_refused_and_nothing_breaks(seats: Seats) -> None:
    """ASVS 11.3.2; whoever changes the key must reset those accounts."""
    async with seats.browser() as anna:
        await sign_in(anna, "anna")
        secret, codes = await seats.enrol(anna)
        strange = Sealing("f" * 32).seal(secret, user="anna")
        seats.turn(seconds=60)
        for sealed in (strange, "damaged", "", "é"):
            await seats.accounts.store.change_account("anna", sealed_secret=sealed, failures=0)
            for code in (seats.code(secret), codes[0]):
                assert words_of([await sign_in(anna, "anna", code=code)]) == {REFUSED}


def test_sealed_text_opens_for_its_person_only() -> None:
    sealing = Sealing(KEY)
    sealed = sealing.seal("secret", user="anna")
    assert sealing.opened(sealed, user="anna") == "secret"
    assert sealing.opened(sealed, user="adam") is None
    assert sealing.seal("secret", user="anna") != sealed  # never twice the same


def test_picture_needs_no_style_that_the_page_forbids() -> None:
    picture = picture_of(new_secret(), user='<script>"')
    assert picture.startswith("<svg") and "style=" not in picture and "<script" not in picture
