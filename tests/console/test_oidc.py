"""Signing in at an OpenID provider, against a provider that others wrote, and against one that lies (ASVS 5.0, V10)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.console.account_seats import PEOPLE, Seats, cookie_of, seats_over, sign_in, words_of
from tests.console.harness import ORIGIN
from tests.console.lying_provider import CLIENT, Answer, Liar, body_of, serving

pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")  # within the judge
START = "/sign-in/provider?next=/account"
STEP_UP = "/step-up/provider?next=/runs"


@asynccontextmanager
async def _seats_at(issuer: str, folder: Path, patch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[Seats]:
    chosen = {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": "env:TEST_SESSION_KEY",
        "oidc_insecure_http": True,
        **settings,
    }
    async with seats_over(folder, patch, **chosen) as made:
        yield made


# --- a provider that others wrote ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judge() -> Iterator[str]:
    """An independent provider on a socket; its people are two of the house and one who is not."""
    with warnings.catch_warnings(record=True):  # it stands on modules that their makers call old
        import oidc_provider_mock
        from oidc_provider_mock import User

    people = [User(sub=name, claims={"preferred_username": name}) for name in ("anna", "olga", "mallory")]
    people.append(User(sub="nameless"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # the judge speaks HTTP on loopback
        with oidc_provider_mock.run_server_in_thread(user_claims=people) as server:
            yield f"http://localhost:{server.server_port}"


@pytest.fixture
async def seats(judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seats]:
    """A console whose people sign in at the judge."""
    async with _seats_at(judge, tmp_path, monkeypatch) as made:
        yield made


async def _walk(browser: httpx.AsyncClient, sub: str, start: str = START) -> str:
    """Go to the judge and say who one is; the path that it leads back to."""
    led = await browser.get(start)
    assert led.status_code == 303, led.text
    async with httpx.AsyncClient() as outside:
        answer = await outside.post(led.headers["location"], data={"sub": sub})
    assert answer.headers["location"].startswith(f"{ORIGIN}/sign-in/answer?")
    return answer.headers["location"].removeprefix(ORIGIN)


async def test_good_sign_in_by_the_word_of_an_independent_provider(seats: Seats) -> None:
    async with seats.browser() as anna:
        answer = await anna.get(await _walk(anna, "anna"))
        assert (answer.status_code, answer.headers["location"]) == (303, "/account")
        visitor = await seats.accounts.visitor_of(cookie_of(anna))
        assert visitor is not None and visitor.user == "anna" and visitor.roles == {"approver"}
        assert "aether_attempt" not in anna.cookies
        page = await anna.get("/account")
        assert "oidc" in page.text and "Change the password" not in page.text
    assert seats.under_test.told[-1]["detail"] == {"by": "oidc"}


async def test_request_carries_state_nonce_and_a_hashed_verifier(seats: Seats) -> None:
    """ASVS 10.2.1, 10.4.6, 10.5.1."""
    async with seats.browser() as anna:
        first, second = [await anna.get(START) for _ in range(2)]
    asked = [parse_qs(urlsplit(answer.headers["location"]).query) for answer in (first, second)]
    assert asked[0]["code_challenge_method"] == ["S256"] and asked[0]["response_type"] == ["code"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[0][name][0]) >= 43 and asked[0][name] != asked[1][name]
    flags = first.headers["set-cookie"].lower()
    assert (
        "httponly" in flags and "samesite=lax" in flags and "max-age=600" in flags and "path=/sign-in/answer" in flags
    )
    assert not any(asked[0][name][0] in flags for name in ("state", "nonce"))  # sealed


@pytest.mark.parametrize(
    ("sub", "why"), [("mallory", "no person of this house"), ("nameless", "has no preferred_username")]
)
async def test_person_whom_the_house_does_not_know_is_refused_and_told(seats: Seats, sub: str, why: str) -> None:
    async with seats.browser() as somebody:
        answer = await somebody.get(await _walk(somebody, sub))
        assert answer.status_code == 403 and why in answer.text
        assert "aether_session" not in somebody.cookies
    assert seats.told[-1][0] == "sign_in_refused"


async def test_closed_account_does_not_come_in_by_the_provider_either(seats: Seats) -> None:
    await seats.make("olga")
    await seats.accounts.store.change_account("olga", is_closed=True)
    async with seats.browser() as olga:
        answer = await olga.get(await _walk(olga, "olga"))
    assert answer.status_code == 403 and "is closed" in answer.text
    assert await seats.accounts.store.sessions() == ()


@pytest.mark.parametrize("state", ["", "x", "é", "\x00"])
async def test_answer_to_another_sign_in_is_refused(seats: Seats, state: str) -> None:
    """ASVS 10.2.1."""
    async with seats.browser() as anna:
        back = urlsplit(await _walk(anna, "anna"))
        code = parse_qs(back.query)["code"][0]
        answer = await anna.get(back.path, params={"code": code, "state": state})
        assert answer.status_code == 403 and "another sign-in" in answer.text
        assert "aether_session" not in anna.cookies


async def test_answer_does_not_sign_in_another_browser(seats: Seats) -> None:
    """ASVS 10.2.1: nobody is signed in as the attacker by a link."""
    async with seats.browser() as thief, seats.browser() as anna:
        back = await _walk(thief, "mallory")
        assert (await anna.get(back)).status_code == 403
        await anna.get(START)
        assert (await anna.get(back)).status_code == 403


async def test_code_counts_once(seats: Seats) -> None:
    """ASVS 10.4.2: the provider refuses the second use, and so do we."""
    async with seats.browser() as anna:
        back = await _walk(anna, "anna")
        attempt = anna.cookies["aether_attempt"]
        assert (await anna.get(back)).status_code == 303
        anna.cookies.set("aether_attempt", attempt, domain="console.test", path="/sign-in/answer")
        answer = await anna.get(back)
        assert answer.status_code == 403 and "provider refused" in answer.text


async def test_sign_in_that_takes_too_long_is_refused(seats: Seats) -> None:
    async with seats.browser() as anna:
        back = await _walk(anna, "anna")
        seats.turn(minutes=11)
        answer = await anna.get(back)
    assert answer.status_code == 403 and "longer than 10 minutes" in answer.text


async def test_provider_may_say_no_in_its_own_words(seats: Seats) -> None:
    async with seats.browser() as anna:
        state = parse_qs(urlsplit(await _walk(anna, "anna")).query)["state"][0]
        answer = await anna.get("/sign-in/answer", params={"state": state, "error": "<script>alert(1)</script>"})
    assert answer.status_code == 403 and "did not sign you in" in answer.text
    assert "<script>alert" not in answer.text


async def test_sign_in_that_cannot_be_told_does_not_happen(seats: Seats) -> None:
    async with seats.browser() as anna:
        back = await _walk(anna, "anna")
        seats.bus["is_away"] = True
        assert (await anna.get(back)).status_code == 503
    assert await seats.accounts.store.sessions() == ()


async def test_another_person_at_the_step_up_is_refused(seats: Seats) -> None:
    """ASVS 7.5.3: what is renewed is the session of the person who proved it, nobody else's."""
    async with seats.browser() as anna:
        await anna.get(await _walk(anna, "anna"))
        before = cookie_of(anna)
        answer = await anna.get(await _walk(anna, "olga", STEP_UP))
        assert answer.status_code == 403
        visitor = await seats.accounts.visitor_of(before)
    assert visitor is not None and visitor.user == "anna" and not visitor.is_stepped_up(seats.clock.now())


# --- a provider that lies --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def socket_of_liar() -> Iterator[Liar]:
    """The provider; tests take it from the fixture below."""
    with serving() as liar:
        yield liar


@pytest.fixture
def liar(socket_of_liar: Liar) -> Liar:
    """The provider, honest again."""
    liar = socket_of_liar
    liar.claims, liar.header, liar.bend, liar.bend_token = {}, {}, {}, None
    liar.asked, liar.forms, liar.authorizations = [], [], []
    return liar


@pytest.fixture
async def lied_to(liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seats]:
    """A console whose people sign in there."""
    async with _seats_at(liar.issuer, tmp_path, monkeypatch) as made:
        yield made


async def _come(browser: httpx.AsyncClient, liar: Liar, start: str = START) -> httpx.Response:
    led = await browser.get(start)
    if led.status_code != 303:
        return led
    asked = parse_qs(urlsplit(led.headers["location"]).query)
    liar.nonce = asked["nonce"][0]
    return await browser.get("/sign-in/answer", params={"code": "c", "state": asked["state"][0]})


async def test_honest_answer_is_believed_and_the_verifier_goes_to_the_provider_only(lied_to: Seats, liar: Liar) -> None:
    async with lied_to.browser() as anna:
        assert (await _come(anna, liar)).headers["location"] == "/account"
    assert len(liar.forms[0]["code_verifier"][0]) >= 43
    assert liar.forms[0]["redirect_uri"] == [f"{ORIGIN}/sign-in/answer"]


async def test_client_secret_is_renewed_while_the_console_runs(
    liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASVS 13.3.4."""
    secret = tmp_path / "client-secret"
    secret.write_text("first")
    async with _seats_at(liar.issuer, tmp_path, monkeypatch, oidc_client_secret=f"file:{secret}") as seats:
        for word in ("first", "second"):
            secret.write_text(word)
            async with seats.browser() as anna:
                assert (await _come(anna, liar)).status_code == 303
        sent = [base64.b64decode((one or "").removeprefix("Basic ")).decode() for one in liar.authorizations]
        assert sent == [f"{CLIENT}:first", f"{CLIENT}:second"]
        secret.unlink()
        async with seats.browser() as anna:
            answer = await _come(anna, liar)
        assert answer.status_code == 403 and "cannot prove itself to the provider" in answer.text
        assert str(secret) not in answer.text
    assert len(liar.forms) == 2


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"nonce": "é"}, "another sign-in"),
        ({"aud": "somebody-else"}, "does not hold"),
        ({"aud": None}, "does not hold"),
        ({"aud": [CLIENT, "somebody-else"]}, "for several parties"),
        ({"aud": [CLIENT, "somebody-else"], "azp": "somebody-else"}, "for several parties"),
        ({"iss": "https://evil.test"}, "does not hold"),
        ({"iss": None}, "does not hold"),
        ({"exp": 1_000_000_000}, "does not hold"),
        ({"exp": None}, "does not hold"),
        ({"exp": "tomorrow"}, "does not hold"),
        ({"iat": None}, "does not hold"),
        ({"sub": None}, "does not hold"),
        ({"nbf": 4_000_000_000}, "does not hold"),
        ({"preferred_username": None}, "has no preferred_username"),
        ({"preferred_username": ["anna"]}, "has no preferred_username"),
        ({"preferred_username": ""}, "has no preferred_username"),
        ({"preferred_username": "Anna"}, "no person of this house"),
        ({"preferred_username": "an\x00na"}, "no person of this house"),
        ({"preferred_username": "<script>alert(1)</script>" * 50}, "no person of this house"),
    ],
    ids=str,
)
async def test_identity_that_is_not_for_this_sign_in_is_not_believed(
    lied_to: Seats, liar: Liar, claims: dict[str, Any], why: str
) -> None:
    """ASVS 9.2.1, 9.2.3, 10.5.1, 10.5.3, 10.5.4."""
    liar.claims = claims
    async with lied_to.browser() as anna:
        answer = await _come(anna, liar)
        assert (answer.status_code, why in answer.text) == (403, True), words_of([answer])
        assert "<script>alert" not in answer.text
        assert "aether_session" not in anna.cookies
    assert lied_to.told[-1][0] == "sign_in_refused"
    assert await lied_to.accounts.store.sessions() == ()


def _unsigned(good: str, claims: dict[str, Any]) -> str:
    return f"eyJhbGciOiJub25lIn0.{good.split('.')[1]}."


def _altered(good: str, claims: dict[str, Any]) -> str:
    header, body, signature = good.split(".")
    return f"{header}.{body}.{signature[:-6]}AAAAAA"


def _by_another_key(good: str, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSAKey.generate_key(2048))


LIES: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "none": _unsigned,
    "altered": _altered,
    "another key": _by_another_key,
    "no token": lambda good, claims: "x",
    "empty": lambda good, claims: "",
    "dots": lambda good, claims: "..",
}


@pytest.mark.parametrize("lie", LIES)
async def test_identity_without_the_providers_signature_is_not_believed(lied_to: Seats, liar: Liar, lie: str) -> None:
    """ASVS 9.1.1, 9.1.2."""
    liar.bend_token = LIES[lie]
    async with lied_to.browser() as anna:
        answer = await _come(anna, liar)
        assert answer.status_code == 403 and "does not hold" in answer.text, words_of([answer])


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


async def test_public_key_is_no_shared_secret(lied_to: Seats, liar: Liar) -> None:
    """ASVS 9.1.2: an identity signed with HS256 under the provider's public key is a forgery."""

    def forged(good: str, claims: dict[str, Any]) -> str:
        signed = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(claims)}"
        digest = hmac.new(liar.key.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    liar.bend_token = forged
    async with lied_to.browser() as anna:
        answer = await _come(anna, liar)
    assert answer.status_code == 403 and "does not hold" in answer.text


async def test_key_that_the_provider_changed_is_learnt(
    lied_to: Seats, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with lied_to.browser() as anna:
        assert (await _come(anna, liar)).status_code == 303
        fresh = RSAKey.generate_key(2048, parameters={"kid": "two", "use": "sig", "alg": "RS256"})
        monkeypatch.setattr(liar, "key", fresh)
        liar.header = {"kid": "two"}
        assert (await _come(anna, liar)).status_code == 303


async def test_step_up_without_the_moment_of_proof_is_refused(lied_to: Seats, liar: Liar) -> None:
    """ASVS 7.5.3, 10.5: a session at the provider that was never proved anew is not enough."""
    async with lied_to.browser() as anna:
        await _come(anna, liar)
        led = await anna.get(STEP_UP)
        asked = parse_qs(urlsplit(led.headers["location"]).query)
        assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
        for at in (None, "now", True, int(time.time()) - 3_600):
            liar.claims = {"auth_time": at}
            answer = await _come(anna, liar, STEP_UP)
            assert answer.status_code == 403 and "just now" in answer.text
        liar.claims = {"auth_time": int(time.time())}
        answer = await _come(anna, liar, STEP_UP)
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
        visitor = await lied_to.accounts.visitor_of(cookie_of(anna))
    assert visitor is not None and visitor.is_stepped_up(lied_to.clock.now())


def _moved(to: str) -> Callable[[], Answer]:
    return lambda: (302, {"location": to}, b"{}")


BENT: dict[str, tuple[str, Callable[[], Answer]]] = {
    "description refused": ("/.well-known/openid-configuration", lambda: (500, {}, b"{}")),
    "description moved": ("/.well-known/openid-configuration", _moved("/elsewhere")),
    "description no JSON": ("/.well-known/openid-configuration", lambda: (200, {}, b"<html>")),
    "description a list": ("/.well-known/openid-configuration", lambda: (200, {}, b"[]")),
    "description nested": ("/.well-known/openid-configuration", lambda: (200, {}, b"[" * 200_000)),
    "description of another": ("/.well-known/openid-configuration", lambda: body_of(issuer="https://evil.test")),
    "description empty": ("/.well-known/openid-configuration", lambda: body_of()),
    "description oversized": ("/.well-known/openid-configuration", lambda: (200, {}, b" " * 1_200_000)),
    "keys moved": ("/keys", _moved("/elsewhere")),
    "keys unreadable": ("/keys", lambda: body_of(keys=[{"kty": "?"}])),
    "keys no list": ("/keys", lambda: body_of(keys="x")),
    "keys missing": ("/keys", lambda: body_of()),
    "token refused": ("/token", lambda: (400, {}, b'{"error": "invalid_grant"}')),
    "token moved": ("/token", _moved("/elsewhere")),
    "token without identity": ("/token", lambda: body_of(access_token="x")),
    "token oversized": ("/token", lambda: (200, {}, b" " * 1_200_000)),
    "token a number": ("/token", lambda: body_of(id_token=7)),
}


@pytest.mark.parametrize("bent", BENT)
async def test_provider_that_answers_badly_is_told_and_nothing_breaks(lied_to: Seats, liar: Liar, bent: str) -> None:
    path, answering = BENT[bent]
    liar.bend[path] = answering
    async with lied_to.browser() as anna:
        answer = await _come(anna, liar)
        assert answer.status_code in {403, 503} and len(words_of([answer])) == 1
        assert "aether_session" not in anna.cookies
    assert "/elsewhere" not in liar.asked  # a redirect is never followed


@pytest.mark.parametrize("address", ["http://[", "ftp://x/keys", "file:///etc/passwd", "", 7, None])
async def test_address_that_is_none_is_refused(lied_to: Seats, liar: Liar, address: Any) -> None:
    described = json.loads(liar.answer("/.well-known/openid-configuration")[2])
    liar.bend["/.well-known/openid-configuration"] = lambda: body_of(**{**described, "jwks_uri": address})
    async with lied_to.browser() as anna:
        assert (await _come(anna, liar)).status_code == 503


async def test_provider_without_tls_is_refused_unless_that_was_allowed(
    liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASVS 12.2.1."""
    async with _seats_at(liar.issuer, tmp_path, monkeypatch, oidc_insecure_http=False) as seats:
        async with seats.browser() as anna:
            answer = await _come(anna, liar)
        assert answer.status_code == 503 and "no address over TLS" in answer.text
    assert liar.asked == []


async def test_provider_that_is_down_leaves_local_accounts_as_the_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with _seats_at(f"http://127.0.0.1:{port}", tmp_path, monkeypatch) as seats, seats.browser() as olga:
        answer = await olga.get(START)
        assert answer.status_code == 503 and "cannot be asked" in answer.text
        await seats.make("olga")
        assert (await sign_in(olga, "olga")).status_code == 303


async def test_provider_that_drips_is_not_waited_for(
    lied_to: Seats, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.console.accounts.oidc.SECONDS_MAX", 0.3)

    def slowly() -> Answer:
        time.sleep(1.0)
        return body_of()

    liar.bend["/.well-known/openid-configuration"] = slowly
    async with lied_to.browser() as anna, asyncio.timeout(20):
        assert (await _come(anna, liar)).status_code == 503


async def test_without_a_provider_its_paths_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with seats_over(tmp_path, monkeypatch, people=PEOPLE) as seats, seats.browser() as anna:
        for path in (START, "/sign-in/answer?code=c&state=s"):
            answer = await anna.get(path)
            assert answer.status_code in {403, 503} and "No provider is set up here" in answer.text
