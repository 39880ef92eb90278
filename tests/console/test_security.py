"""What holds on every route: proof of the page that an act comes from, guarding headers, nothing foreign in a page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.console.every_route import EVERYBODY, NOBODY_NEEDED, ROLES, Route, close, routes, whole_console
from tests.console.harness import ORIGIN, ConsoleUnderTest

FORGED = "does not come from a page of this session"


@pytest.fixture
async def console(house_data: Path, tmp_path: Path) -> AsyncIterator[ConsoleUnderTest]:
    """A console with everything that a page can show."""
    made = await whole_console(house_data, tmp_path)
    yield made
    await close(made)


@pytest.fixture
def every(house_data: Path) -> list[Route]:
    """Every route, those before the sign-in too."""
    before = [Route(name, name.partition(" ")[2]) for name in sorted(NOBODY_NEEDED)]
    return [*routes(house_data / "auditor.db"), *before]


# --- acts come from our own pages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("csrf", "headers"),
    [
        (None, {}),
        ("", {}),
        ("wrong", {}),
        ("tökën", {}),
        ("token-of-the-session", {"origin": "https://evil.example"}),
        ("token-of-the-session", {"origin": "null"}),
        ("token-of-the-session", {"origin": f"{ORIGIN}.evil.example"}),
        ("token-of-the-session", {"sec-fetch-site": "cross-site"}),
        ("token-of-the-session", {"sec-fetch-site": "same-site"}),
    ],
    ids=["no token", "empty token", "wrong token", "no ascii", "foreign", "null", "prefix", "cross-site", "same-site"],
)
async def test_an_act_without_proof_of_its_page_is_refused(
    console: ConsoleUnderTest, every: list[Route], csrf: str | None, headers: dict[str, str]
) -> None:
    faults = []
    async with console.as_person("olga", *ROLES, stepped_up=True) as browser:
        for route in every:
            if route.method == "GET":
                continue
            if route.is_api and csrf is not None and not csrf.isascii():
                continue  # no header can hold it
            answer = await route.ask(browser, csrf=csrf, headers=headers)
            if answer.status_code != 403 or FORGED not in answer.text:
                faults.append(f"{route.name}: {answer.status_code} {answer.text[-200:]}")
    assert not faults, "\n".join(faults)
    assert console.acting.asked == []
    assert console.told == []


async def test_a_token_in_the_address_proves_nothing(console: ConsoleUnderTest, every: list[Route]) -> None:
    async with console.as_person("olga", *ROLES) as browser:
        for route in every:
            if route.method == "POST":
                moved = Route(route.name, f"{route.path}?csrf=token-of-the-session", route.body)
                assert (await moved.ask(browser, csrf=None)).status_code == 403, route.name
    assert console.acting.asked == []


async def test_a_body_of_another_kind_cannot_carry_the_token(console: ConsoleUnderTest) -> None:
    """`text/plain` needs no leave of the browser to be sent from elsewhere."""
    async with console.as_person("olga", "operator") as browser:
        answer = await browser.post(
            "/api/v1/runs",
            content='{"connector":"titanhst-staff","mode":"apply","csrf":"token-of-the-session"}',
            headers={"content-type": "text/plain"},
        )
    assert answer.status_code in {403, 422}
    assert console.acting.asked == []


async def test_no_other_method_changes_anything(console: ConsoleUnderTest, every: list[Route]) -> None:
    async with console.as_person("olga", *ROLES, stepped_up=True) as browser:
        for method in ("PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"):
            for path in sorted({route.path for route in every}):
                answer = await browser.request(method, path, headers={"x-csrf-token": "token-of-the-session"})
                assert answer.status_code == 405, f"{method} {path}: {answer.status_code}"
    assert console.acting.asked == []
    assert console.told == []


# --- what every answer carries ------------------------------------------------------------------------------------


async def test_every_answer_carries_what_a_browser_guards_the_page_by(
    console: ConsoleUnderTest, every: list[Route]
) -> None:
    nonces = []
    faults = []
    async with console.as_person("olga", *ROLES, stepped_up=True) as all_roles, console.nobody() as nobody:
        for browser in (all_roles, nobody):
            for route in [*every, Route("GET ?", "/nothing-of-that-name"), Route("GET ?", "/static/nothing")]:
                answer = await route.ask(browser)
                policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
                found = re.fullmatch(r"'self' 'nonce-([\w-]{20,})'", policy["script-src"])
                if found is None or policy["style-src"] != policy["script-src"]:
                    faults.append(f"{route.name}: {policy}")
                    continue
                nonces.append(found[1])
                wanted = {"default-src": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'",
                          "form-action": "'self'"}  # fmt: skip
                if {name: policy[name] for name in wanted} != wanted or "unsafe" in str(policy):
                    faults.append(f"{route.name}: {policy}")
                told = (answer.headers["x-content-type-options"], answer.headers["x-frame-options"])
                if told != ("nosniff", "DENY"):
                    faults.append(f"{route.name}: {told}")
                if "/static/" not in route.path and answer.headers["cache-control"] != "no-store":
                    faults.append(f"{route.name}: {answer.headers['cache-control']}")
                if "server" in answer.headers or "x-powered-by" in answer.headers:
                    faults.append(f"{route.name}: says what serves it")
    assert not faults, "\n".join(faults)
    assert len(set(nonces)) == len(nonces), "a nonce was used twice"


# --- what stands in pages -----------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.found.append((tag, dict(attrs)))


def faults_of(text: str, nonce: str) -> Iterator[str]:
    """What a page of ours never holds."""
    for tag, attributes in Elements(text).found:
        for name, value in attributes.items():
            if name == "style" or name.startswith("on"):
                yield f"<{tag} {name}={value!r}>"
            if name in {"src", "href", "action", "formaction", "srcset", "poster", "data", "hx-get", "hx-post"}:
                is_ours = value is not None and (value.startswith(("/", "#", "?")) or value.startswith("data:image/"))
                if not is_ours or (value or "").startswith("//"):
                    yield f"<{tag} {name}={value!r}>"
        if tag in {"iframe", "object", "embed", "base"}:
            yield f"<{tag}>"
        if tag == "script" and "src" not in attributes and attributes.get("nonce") != nonce:
            yield "<script> without the nonce"
        if tag == "style" and attributes.get("nonce") != nonce:
            yield "<style> without the nonce"
        if tag == "form" and attributes.get("method", "get") not in {"get", "post"}:
            yield f"<form method={attributes['method']!r}>"


async def test_no_page_holds_a_style_a_handler_or_anything_from_elsewhere(
    console: ConsoleUnderTest, every: list[Route]
) -> None:
    faults = []
    pages = 0
    async with console.as_person("viewer", *EVERYBODY, stepped_up=True) as all_roles, console.nobody() as nobody:
        for browser in (all_roles, nobody):
            for route in [*every, Route("GET ?", "/nothing-of-that-name")]:
                answer = await route.ask(browser)
                if not answer.headers.get("content-type", "").startswith("text/html"):
                    continue
                pages += 1
                nonce = answer.headers["content-security-policy"].split("'nonce-")[1].split("'")[0]
                faults += [f"{route.name}: {fault}" for fault in faults_of(answer.text, nonce)]
    assert pages > 40
    assert not faults, "\n".join(faults)


async def test_every_form_that_acts_carries_the_token(console: ConsoleUnderTest, every: list[Route]) -> None:
    faults = []
    async with console.as_person("viewer", *EVERYBODY, stepped_up=True) as browser:
        for route in every:
            answer = await route.ask(browser)
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", answer.text, re.DOTALL):
                if 'name="csrf"' not in form:
                    faults.append(f"{route.name}: {form[:200]}")
    assert not faults, "\n".join(faults)


async def test_keys_and_tokens_stand_in_no_address(console: ConsoleUnderTest, every: list[Route]) -> None:
    """Forms that look a person up, or carry the token, are sent as bodies: addresses end up in logs."""
    async with console.as_person("viewer", *EVERYBODY, stepped_up=True) as browser:
        for route in every:
            answer = await route.ask(browser)
            for form in re.findall(r"<form\b.*?</form>", answer.text, re.DOTALL):
                if 'method="post"' not in form:
                    assert 'name="csrf"' not in form, route.name
                    assert 'name="key"' not in form, route.name
            assert "token-of-the-session" not in answer.headers.get("location", "")
