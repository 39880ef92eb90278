"""Accounts: locks, passwords, first passwords, what admins may do, and the tables under them (ASVS 5.0, V6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from services.console.accounts import tables
from services.console.accounts.accounts import FAILURES_MAX, LOCK_MINUTES, REFUSED, Refused
from services.console.accounts.passwords import CHARACTERS_MAX, WeakPassword, check_password
from services.console.accounts.store import AccountStore
from services.console.accounts.throttling import ADDRESS_FAILURES_MAX, ADDRESS_SECONDS, ADDRESSES_KEPT, Throttle
from shared.errors import NeedsPerson
from tests.console.account_seats import KEY, PASSWORD, PEOPLE, Seats, act, cookie_of, seats_over, sign_in, words_of
from tests.support.postgres import PostgresServer, start_postgres

OTHER = "lantern river moss"


@pytest.fixture
async def seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seats]:
    """A console in which olga, an operator, has an account."""
    async with seats_over(tmp_path, monkeypatch) as made:
        await made.make("olga")
        yield made


# --- guessing -----------------------------------------------------------------------------------------------------


async def test_account_is_locked_after_five_failures_and_opens_by_itself(seats: Seats) -> None:
    """ASVS 6.3.1: the lock is told in the same words as a wrong password, and ends by time."""
    async with seats.browser() as olga:
        for _ in range(FAILURES_MAX):
            await sign_in(olga, "olga", "wrong")
        assert words_of([await sign_in(olga, "olga")]) == {REFUSED}
        seats.turn(minutes=LOCK_MINUTES[0] - 1)
        assert (await sign_in(olga, "olga")).status_code == 403
        seats.turn(minutes=2)
        assert (await sign_in(olga, "olga")).status_code == 303
    account = await seats.accounts.store.account("olga")
    assert account is not None and (account.failures, account.locked_until) == (0, None)


async def test_locks_grow_to_an_hour_and_no_further(seats: Seats) -> None:
    """Nobody is locked out for ever: tries during a lock do not make it longer."""
    lengths = []
    async with seats.browser() as somebody:
        for _ in range(FAILURES_MAX - 1):
            await sign_in(somebody, "olga", "wrong")
        for _ in range(len(LOCK_MINUTES) + 1):
            await sign_in(somebody, "olga", "wrong")
            await sign_in(somebody, "olga", "wrong")  # during the lock
            account = await seats.accounts.store.account("olga")
            assert account is not None and account.locked_until is not None
            lengths.append(round((account.locked_until - seats.clock.now()) / timedelta(minutes=1)))
            seats.turn(minutes=lengths[-1] + 1)
        assert lengths == [*LOCK_MINUTES, LOCK_MINUTES[-1]]
        assert (await sign_in(somebody, "olga")).status_code == 303


async def test_tries_that_come_at_once_are_all_counted(seats: Seats) -> None:
    """ASVS 15.4.2: no more guesses by sending them together."""

    async def guess(number: int) -> bool:
        try:
            await seats.accounts.sign_in(user="olga", password=f"{number}", code="", agent="", address=f"{number}")
        except Refused:
            return False
        return True

    assert not any(await asyncio.gather(*(guess(number) for number in range(10))))
    account = await seats.accounts.store.account("olga")
    assert account is not None and account.failures == FAILURES_MAX  # the others met the lock


async def test_open_session_is_no_way_around_the_lock(seats: Seats) -> None:
    """ASVS 6.3.1: proving again and changing the password count failures like the sign-in."""
    async with seats.browser() as olga:
        await sign_in(olga, "olga")
        for _ in range(3):
            await act(olga, "/account/password", old="wrong", new=OTHER, again=OTHER)
        for _ in range(2):
            await act(olga, "/step-up", password="wrong")
        assert (await act(olga, "/step-up", password=PASSWORD)).status_code == 403
        answer = await act(olga, "/account/password", old=PASSWORD, new=OTHER, again=OTHER)
        assert answer.status_code == 422 and "locked" in answer.text


async def test_one_address_guesses_so_often_whatever_names_it_tries(seats: Seats) -> None:
    async with seats.browser(address="203.0.113.9") as guesser, seats.browser() as olga:
        for number in range(ADDRESS_FAILURES_MAX):
            seats.accounts._throttle.count("203.0.113.9", now=seats.clock.monotonic_seconds() + number / 1_000)
        assert words_of([await sign_in(guesser, "olga")]) == {
            "Too many failed tries from this address; wait five minutes."
        }
        assert (await sign_in(olga, "olga")).status_code == 303
        seats.turn(seconds=ADDRESS_SECONDS + 1)
        assert (await sign_in(guesser, "olga")).status_code == 303


def test_throttle_keeps_no_more_addresses_than_it_says() -> None:
    throttle = Throttle()
    for number in range(ADDRESSES_KEPT + 5):
        throttle.count(str(number), now=0.0)
    assert len(throttle._failed) == ADDRESSES_KEPT


# --- passwords -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elevenchars", "at least 12"),
        ("a" * (CHARACTERS_MAX + 1), "at most 128"),
        ("e\u0301" * 100, "at most 128"),  # a hundred letters, but longer as typed than a sign-in takes
        ("Password1234", "tried first"),
        ("abcabcabcabcabc", "tried first"),
        ("qwertyuiopasdf", "tried first"),
        ("my olga is here", "your name"),
        ("aether for ever", "your name"),
    ],
)
def test_weak_password_is_refused_and_says_why(password: str, why: str) -> None:
    """ASVS 6.2.1, 6.2.4, 6.2.11."""
    with pytest.raises(WeakPassword, match=why):
        check_password(password, user="olga")


@pytest.mark.parametrize(
    "password", [PASSWORD, "x" * 6 + "yzuvwq", "пароль из слов", "a b c d e f g h", "é" * 8 + "abcd"]
)
def test_any_long_password_will_do(password: str) -> None:
    """ASVS 6.2.5, 6.2.9: no rule about kinds of signs; 128 characters are taken."""
    check_password(password, user="olga")
    check_password(password.ljust(CHARACTERS_MAX, "k"), user="olga")


async def test_changing_the_password_asks_for_the_old_and_ends_other_sessions(seats: Seats) -> None:
    """ASVS 6.2.3, 7.4.3."""
    async with seats.browser() as here, seats.browser() as there:
        await sign_in(here, "olga")
        await sign_in(there, "olga")
        for fields, why in (
            ({"old": "wrong", "new": OTHER, "again": OTHER}, "present password is not right"),
            ({"old": PASSWORD, "new": OTHER, "again": OTHER + "x"}, "differ"),
            ({"old": PASSWORD, "new": PASSWORD, "again": PASSWORD}, "is the old one"),
            ({"old": PASSWORD, "new": "short", "again": "short"}, "at least 12"),
        ):
            answer = await act(here, "/account/password", **fields)
            assert answer.status_code == 422 and why in answer.text
        assert (await act(here, "/account/password", old=PASSWORD, new=OTHER, again=OTHER)).status_code == 303
        assert (await here.get("/account")).status_code == 200
        assert (await there.get("/account")).status_code == 303
        assert (await sign_in(there, "olga", PASSWORD)).status_code == 403
        assert (await sign_in(there, "olga", OTHER)).status_code == 303
    assert ("password_changed", "olga", "olga") in seats.told


async def test_same_password_typed_on_another_keyboard_is_right(seats: Seats) -> None:
    await seats.make("vera", password="caf\u00e9 granite lamp")
    async with seats.browser() as vera:
        assert (await sign_in(vera, "vera", "cafe\u0301 granite lamp")).status_code == 303


async def test_hash_is_argon2id_and_one_with_older_parameters_is_made_anew(seats: Seats) -> None:
    """ASVS 11.4.2."""
    weak = PasswordHasher(time_cost=1, memory_cost=1_024, parallelism=1).hash(PASSWORD)
    await seats.accounts.store.change_account("olga", password_hash=weak)
    async with seats.browser() as olga:
        assert (await sign_in(olga, "olga")).status_code == 303
    account = await seats.accounts.store.account("olga")
    assert account is not None
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(account.password_hash, PASSWORD)


async def test_hash_that_is_damaged_refuses_and_does_not_break(seats: Seats) -> None:
    await seats.accounts.store.change_account("olga", password_hash="not a hash")
    async with seats.browser() as olga:
        assert words_of([await sign_in(olga, "olga")]) == {REFUSED}


async def test_first_password_must_be_changed_before_roles_count(seats: Seats) -> None:
    """ASVS 6.4.1."""
    await seats.make("ida", must_change=True)
    async with seats.browser() as ida:
        answer = await sign_in(ida, "ida", next_path="/access")
        assert answer.headers["location"] == "/account"
        assert "Change the first password" in (await ida.get("/account")).text
        assert (await ida.get("/access")).status_code == 403
        await act(ida, "/account/password", old=PASSWORD, new=OTHER, again=OTHER)
        assert (await ida.get("/access")).status_code == 200


# --- first accounts -------------------------------------------------------------------------------------------------


async def test_first_accounts_are_made_once_and_for_people_of_the_house_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FIRST", PASSWORD)
    first = tmp_path / "first.json"
    first.write_text(json.dumps({"olga": "env:TEST_FIRST", "mallory": "env:TEST_FIRST"}))
    async with seats_over(tmp_path, monkeypatch, first_accounts=first) as seats:
        assert [each.user for each in await seats.accounts.store.accounts()] == ["olga"]
        assert seats.told == [("account_created", None, "olga")]
        async with seats.browser() as olga:
            await sign_in(olga, "olga")
            await act(olga, "/account/password", old=PASSWORD, new=OTHER, again=OTHER)
    async with seats_over(tmp_path, monkeypatch, first_accounts=first) as seats, seats.browser() as olga:
        assert seats.told == []
        assert (await sign_in(olga, "olga", OTHER)).status_code == 303


@pytest.mark.parametrize("text", ["[]", "{", '{"olga": 7}', "not there"])
async def test_unreadable_first_accounts_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    first = tmp_path / "first.json"
    if text != "not there":
        first.write_text(text)
    with pytest.raises(NeedsPerson, match=r"first\.json"):
        async with seats_over(tmp_path, monkeypatch, first_accounts=first):
            raise AssertionError("opened")


async def test_key_that_is_too_short_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SHORT", KEY[:31])
    with pytest.raises(NeedsPerson, match="AETHER_SESSION_KEY has 31 characters"):
        async with seats_over(tmp_path, monkeypatch, session_key="env:TEST_SHORT"):
            raise AssertionError("opened")


async def test_without_local_accounts_no_password_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with seats_over(tmp_path, monkeypatch, local_accounts=False) as seats, seats.browser() as olga:
        await seats.make("olga")
        assert 'name="password"' not in (await olga.get("/sign-in")).text
        form = {"csrf": olga.cookies["aether_pre"], "user": "olga", "password": PASSWORD}
        answer = await olga.post("/sign-in", data=form)
        assert answer.status_code == 403 and "district&#39;s provider" in answer.text
        assert await seats.accounts.store.sessions() == ()


# --- the tables ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL of this module's own."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'own.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database(f"console_{tmp_path.name[-30:].replace('-', '_').lower()}")


async def test_migrations_make_the_tables_from_nothing_and_a_second_time_do_nothing(database_url: str) -> None:
    store = AccountStore.open(database_url)
    try:
        await store.migrate()
        await asyncio.gather(store.migrate()) if database_url.startswith("sqlite") else await asyncio.gather(
            store.migrate(), store.migrate()
        )
        for table in tables.metadata.sorted_tables:
            assert await store.count(table) == 0
    finally:
        await store.close()


async def test_whole_life_of_an_account_on_either_database(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sign-in, second factor, its recovery, failures at once, and moments that keep their zone."""
    async with seats_over(tmp_path, monkeypatch, database_url=database_url) as seats:
        await seats.make("anna")
        async with seats.browser() as anna:
            await sign_in(anna, "anna")
            _, recovery = await seats.enrol(anna)
            assert (await act(anna, "/step-up", password=PASSWORD, code=recovery[0])).status_code == 303
            visitor = await seats.accounts.visitor_of(cookie_of(anna))
            assert visitor is not None and visitor.roles == {"approver"}
            assert visitor.is_stepped_up(seats.clock.now())
            assert words_of([await sign_in(anna, "an\x00na", "\x00")]) == {REFUSED}
        store = seats.accounts.store
        counted = await asyncio.gather(*(store.count_failure("anna") for _ in range(8)))
        assert sorted(counted) == list(range(1, 9))
        taken = await asyncio.gather(*(store.accept_step("anna", 2**31 - 1) for _ in range(4)))
        assert sorted(taken) == [False, False, False, True]
        account = await store.account("anna")
        assert account is not None and account.created_at.utcoffset() == timedelta(0)


async def test_roles_changed_while_the_console_was_stopped_are_told_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first start of all tells none."""
    async with seats_over(tmp_path, monkeypatch) as seats:
        assert seats.told == []
    async with seats_over(tmp_path, monkeypatch, people={**PEOPLE, "vera": ["admin"]}) as seats:
        assert [(each["subject"], each["detail"]) for each in seats.under_test.told] == [
            ("vera", {"before": "viewer", "now": "admin"})
        ]
