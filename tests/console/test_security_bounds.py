"""What is absurd is refused with a sentence: sizes, places, names, paths; and nobody is led away from the console."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.console.security import BODY_BYTES_MAX
from services.console.visiting import safe_path
from tests.console.every_route import ROLES, Route, close, filled_from, routes, whole_console
from tests.console.harness import CSRF, ORIGIN, ConsoleUnderTest

PARAMETER = re.compile(r"\{(\w+)\}")
ABSURD = (
    "..", "...", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", "a%00b", "x" * 10_000, "-1", "0", "1e9", "9" * 40,
    "%ff%fe", "%ed%a0%80", "%0d%0aset-cookie:%20a=b", "%F0%9F%92%A9", "%27%20OR%201=1--", "{run}", "%25s", "null",
)  # fmt: skip
QUERIES = ("offset=-1", "offset=1000000000000000000", "offset=x", "offset=1e3", "limit=0", "limit=999999", "before=-1",
           "before=99999999999999999999999", "before=x", "since=0000-00-00", "since=2026-02-31", "until=9999-12-31",
           "by=evil", "offset=", "missed=2", "text=%00", "q=%00", f"text={'x' * 10_000}", f"q={'x' * 10_000}", "=",
           "&&&", "offset=1&offset=2", "offset[]=1", "%00=1", "column=%00&value=%00", "code=%00&entity=%ff", "run=%00",
           "connector=%00", "requester=%00", "actor=%00", "state=%00")  # fmt: skip


@pytest.fixture
async def console(house_data: Path, tmp_path: Path) -> AsyncIterator[ConsoleUnderTest]:
    """A console with everything that a page can show."""
    made = await whole_console(house_data, tmp_path)
    yield made
    await close(made)


@pytest.fixture
def every(house_data: Path) -> list[Route]:
    """Every route that needs somebody."""
    return routes(house_data / "auditor.db")


# --- sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_told", [True, False], ids=["with its length", "in parts"])
async def test_a_body_that_is_too_large_is_refused_as_such(
    console: ConsoleUnderTest, every: list[Route], is_told: bool
) -> None:
    faults = []
    text = "csrf=" + "x" * (BODY_BYTES_MAX + 1)

    async def parts() -> AsyncIterator[bytes]:
        for place in range(0, len(text), 65_536):
            yield text[place : place + 65_536].encode()

    async with console.as_person("olga", *ROLES, stepped_up=True) as browser:
        for route in every:
            if route.method == "GET":
                continue
            kind = "application/json" if route.is_api else "application/x-www-form-urlencoded"
            answer = await browser.post(
                route.path, content=text.encode() if is_told else parts(), headers={"content-type": kind}
            )
            is_cut = answer.status_code == 413 and str(BODY_BYTES_MAX) in answer.text
            # What takes its token from the header, and has no body, need not read one.
            if not is_cut and not (route.is_api and answer.status_code == 403):
                faults.append(f"{route.name}: {answer.status_code} {answer.text[:100]}")
    assert not faults, "\n".join(faults)
    assert console.acting.asked == []


async def test_a_form_of_ten_thousand_fields_or_a_file_is_refused(console: ConsoleUnderTest) -> None:
    many = "&".join(f"f{place}=1" for place in range(10_000))
    async with console.as_person("olga", *ROLES) as browser:
        form = {"content-type": "application/x-www-form-urlencoded"}
        answers = [
            await browser.post("/runs", content=f"csrf={CSRF}&{many}", headers=form),
            await browser.post("/runs", data={"csrf": CSRF}, files={"connector": ("a.txt", b"titanhst-staff")}),
            await browser.post("/runs", content=b"\xff\xfe\x00", headers={"content-type": "multipart/form-data"}),
            await browser.post("/api/v1/runs", content=b"[" * 100_000,
                               headers={"content-type": "application/json", "x-csrf-token": CSRF}),
            await browser.post("/api/v1/runs", content=b'{"connector":"\\ud800"}',
                               headers={"content-type": "application/json", "x-csrf-token": CSRF}),
            await browser.post("/api/v1/runs", content=b'{"\\ud800":1,"\\u0000":NaN}',
                               headers={"content-type": "application/json", "x-csrf-token": CSRF}),
        ]  # fmt: skip
    for place, answer in enumerate(answers):
        assert 400 <= answer.status_code < 500, f"{place}: {answer.status_code}"
    assert console.acting.asked == []


# --- places and names ---------------------------------------------------------------------------------------------


def _sentence(answer: httpx.Response) -> str:
    if answer.headers.get("content-type", "").startswith("application/json"):
        return str(json.loads(answer.text)["error"]["text"])
    return html.unescape(answer.text)


async def test_absurd_names_in_addresses_are_refused_with_a_sentence(
    console: ConsoleUnderTest, house_data: Path
) -> None:
    filled = filled_from(house_data / "auditor.db")
    faults = []
    async with console.as_person("olga", *ROLES, stepped_up=True) as browser:
        for route in routes(house_data / "auditor.db"):
            for name in PARAMETER.findall(route.name):
                rest = route.name.partition(" ")[2]
                for absurd in ABSURD:
                    path = PARAMETER.sub(lambda found: absurd if found[1] == name else filled[found[1]], rest)  # noqa: B023
                    answer = await Route(route.name, path, route.body).ask(browser)
                    if answer.status_code >= 500:
                        faults.append(f"{route.name} {name}={absurd[:30]}: {answer.status_code}")
                    elif answer.status_code >= 400 and not _sentence(answer).strip():
                        faults.append(f"{route.name} {name}={absurd[:30]}: {answer.status_code} without a sentence")
                    if "set-cookie" in answer.headers and "a=b" in answer.headers["set-cookie"]:
                        faults.append(f"{route.name} {name}={absurd[:30]}: a header was put in")
    assert not faults, "\n".join(faults)


async def test_absurd_queries_are_refused_with_a_sentence(console: ConsoleUnderTest, every: list[Route]) -> None:
    faults = []
    async with console.as_person("viewer", *ROLES, stepped_up=True) as browser:
        for route in every:
            if route.method != "GET" or route.name == "GET /step-up/provider":
                continue
            for query in QUERIES:
                answer = await browser.get(f"{route.path}?{query}")
                if answer.status_code >= 500:
                    faults.append(f"{route.name}?{query[:40]}: {answer.status_code}")
                elif answer.status_code >= 400 and not _sentence(answer).strip():
                    faults.append(f"{route.name}?{query[:40]}: {answer.status_code} without a sentence")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "path",
    ["/static/../settings.py", "/static/..%2fsettings.py", "/static/%2e%2e/settings.py", "/static//etc/passwd",
     "/static/%2fetc%2fpasswd", "/static/..\\settings.py", "/static/..%5csettings.py", "/static/%00",
     "/static/app.css%00", "/static/", "/static/" + "x" * 10_000, "/static/....//settings.py",
     "/static/%252e%252e/settings.py"],
)  # fmt: skip
async def test_nothing_but_static_files_is_served_as_such(console: ConsoleUnderTest, path: str) -> None:
    async with console.nobody() as browser:
        request = browser.build_request("GET", ORIGIN)
        request.url = httpx.URL(ORIGIN).copy_with(raw_path=path.encode())  # as it stands, not put in order first
        answer = await browser.send(request)
    assert answer.status_code in {303, 404}, path
    assert "ConsoleSettings" not in answer.text


# --- nobody is led away -------------------------------------------------------------------------------------------

AWAY = (
    "https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https:evil",
    "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", " //evil.example", "http:///evil.example", "evil",
    "/%0d%0aset-cookie:a=b\r\nset-cookie: a=b", "//evil.example/%2f..", "/" + "x" * 3_000, "//[",
    "data:text/html,x", "@evil",
)  # fmt: skip


@pytest.mark.parametrize("where", AWAY)
async def test_next_leads_to_our_own_pages_only(console: ConsoleUnderTest, where: str) -> None:
    async with console.as_person("viewer", *ROLES) as browser, console.nobody() as nobody:
        themed = await browser.post("/theme", data={"csrf": CSRF, "theme": "dark", "next": where})
        assert themed.status_code == 303
        assert themed.headers["location"] == "/"
        assert safe_path(where) == "/"
        forms = [
            await nobody.get("/sign-in", params={"next": where}),
            await browser.get("/step-up", params={"next": where}),
        ]
        for form in forms:
            assert form.status_code == 200
            # The form of the colours leads back to this very page, which judges its own `next` anew.
            led = [each for each in re.findall(r'name="next" value="([^"]*)"', form.text) if "?next=" not in each]
            assert led in ([], ["/"])
            assert 'href="http' not in form.text


@pytest.mark.parametrize(
    "path", ["/runs?text=a&before=b", "/runs/20260101T000000-abcdef/plan?by=alike", "/help#APL_AUTH"]
)
async def test_next_leads_back_to_our_own_pages(console: ConsoleUnderTest, path: str) -> None:
    async with console.as_person("viewer") as browser:
        answer = await browser.post("/theme", data={"csrf": CSRF, "theme": "dark", "next": path})
    assert answer.headers["location"] == path


async def test_another_host_is_never_repeated(console: ConsoleUnderTest, every: list[Route]) -> None:
    """Neither the host nor what a proxy may say of it decides where a browser is led."""
    said = {"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    async with console.as_person("viewer", *ROLES, stepped_up=True) as browser, console.nobody() as nobody:
        for asked in (browser, nobody):
            for route in every:
                answer = await route.ask(asked, headers=said)
                assert "evil.example" not in answer.text + str(answer.headers), route.name
