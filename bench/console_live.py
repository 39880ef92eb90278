"""How soon 200 open pages show what happens in a run: `python -m bench.console_live [--pages 200] [--rounds 3]`.

Each round starts the whole house (bus, services, auditor, console, simulated vendor), signs everybody in over HTTP,
opens the page of one run many times, lets the run apply against a vendor that is slow on purpose, and meanwhile asks
for whole pages. Every open page behaves as a browser would: an operator's asks for its acts anew when the stream says
that the run has moved on. All of it shares the processors of this machine, the pages too.

Told is, for each moment that the bus stored (a change that was concluded, a state that the run entered), how long
until a page held something at least as new; that is each such event times each page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import httpx

from cli.embedded_setup import PEOPLE
from cli.stack import CONSOLE, Stack
from shared.asking.client import PersonClient
from shared.asking.deciding import signed_decision
from shared.asking.profiles import load_profile
from shared.events.commands import DecideRun, RequestRun
from shared.events.queries import RunView
from shared.ids import RandomIds
from shared.run.states import RunStatus, is_terminal
from tests.console.live_clients import LivePage, open_page, signed_in, stream_of

GOAL_MS: Final = 300.0
APPROVERS: Final = ("approver", "approver2")
CONNECTOR: Final = "titanhst-staff"
WAIT_SECONDS_MAX: Final = 120.0
SLOW_SECONDS: Final = 1.5
"""What the vendor takes for each write, so that the run applies for a while."""
SLOW_WRITES: Final = 10_000
PROBE_SECONDS: Final = 0.1
"""Between two whole pages that are asked for meanwhile."""
DELAY: Final = re.compile(r"sse:state delay:(\d+)ms")
AFTER_SECONDS: Final = 4.0
"""How long is still looked after the run has ended."""
CONCLUDED: Final = re.compile(r"([\d,]+) of [\d,]+ changes concluded")
SHOWN_STATUS: Final = re.compile(r'class="run-head" data-announce="[^:"]+: ([a-z -]+)"')


@dataclass
class Round:
    """What one round found; times in milliseconds."""

    pages: int
    changes: int
    applying_seconds: float
    load_average: float
    changes_ms: list[float] = field(default_factory=list)
    states_ms: list[float] = field(default_factory=list)
    events_sent: int = 0
    whole_pages_ms: dict[str, list[float]] = field(default_factory=dict)
    """Until the first byte, by page, while the run applied."""
    reloads: int = 0
    sign_in_ms: float = 0.0
    console_cpu_percent: float = 0.0
    auditor_cpu_percent: float = 0.0
    console_peak_mb: int = 0


class Browsers:
    """All open pages of one run."""

    def __init__(self, stack: Stack, run: str, cookies: list[str]) -> None:
        self._url, self._run, self._cookies = stack.console_url, run, cookies
        self._http: aiohttp.ClientSession | None = None
        self.pages: list[LivePage] = []
        self.reloads = 0
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._loads: set[asyncio.Task[None]] = set()

    async def open(self, number: int) -> None:
        """Load the page and open its stream, `number` times."""
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))
        for place in range(number):
            cookie = self._cookies[place % len(self._cookies)]
            async with self._http.get(f"{self._url}/runs/{self._run}", headers={"cookie": cookie}) as answer:
                text = await answer.text()
            delay = DELAY.search(text)  # only an operator's page has it
            spread = int(delay[1]) / 1000 if delay is not None else 0.0

            def heard(data: bytes, place: int = place, cookie: str = cookie, spread: float = spread) -> None:
                if b"event: state\n" in data:
                    self._load_soon(place, cookie, spread)

            self.pages.append(
                await open_page(self._url, stream_of(text), cookie, on_bytes=heard if delay is not None else None)
            )
        await asyncio.wait_for(asyncio.gather(*(page.begun.wait() for page in self.pages)), WAIT_SECONDS_MAX)

    def _load_soon(self, place: int, cookie: str, spread: float) -> None:
        """As htmx does with `delay:`: a second event begins the waiting anew."""
        if (waiting := self._timers.get(place)) is not None:
            waiting.cancel()

        def load() -> None:
            task = asyncio.create_task(self._load(cookie))
            self._loads.add(task)
            task.add_done_callback(self._loads.discard)

        self._timers[place] = asyncio.get_running_loop().call_later(spread, load)

    async def _load(self, cookie: str) -> None:
        assert self._http is not None
        self.reloads += 1
        headers = {"cookie": cookie, "hx-request": "true", "hx-target": "acts"}
        async with self._http.get(f"{self._url}/runs/{self._run}", headers=headers) as answer:
            await answer.read()
            assert answer.status == 200, answer.status

    async def close(self) -> None:
        """Close every page."""
        for timer in self._timers.values():
            timer.cancel()
        await asyncio.gather(*self._loads, return_exceptions=True)
        for page in self.pages:
            page.close()
        if self._http is not None:
            await self._http.close()


async def main() -> None:
    """Measure and print."""
    options = _options()
    found = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="aether-live-") as folder:
            found.append(await _round(Path(folder), pages=options.pages, profiles=options.profiles))
        _print(number + 1, found[-1])
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found]) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profiles", nargs="+", default=[person.profile for person in PEOPLE], help="who looks")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


async def _round(folder: Path, *, pages: int, profiles: list[str]) -> Round:
    async with Stack(folder, is_demo=True, has_console=True) as stack, stack.client("operator") as operator:
        began = time.perf_counter()
        cookies = [await _signed_in(stack, profile) for profile in profiles]
        sign_in_ms = (time.perf_counter() - began) * 1000 / len(profiles)
        reply = await operator.request_run(RequestRun.model_validate({"connector": CONNECTOR, "mode": "apply"}))
        assert reply.run is not None, reply.refusal
        run = reply.run
        waiting = await _until(operator, run, lambda view: view.status in ("held", "awaiting_approval"))
        async with httpx.AsyncClient() as vendor:
            for method in ("PATCH", "POST"):
                fault = {"kind": "slow", "method": method, "times": SLOW_WRITES, "seconds": SLOW_SECONDS}
                (await vendor.post(f"{stack.vendor_url}/_sim/faults", json=fault)).raise_for_status()
        browsers = Browsers(stack, run, cookies)
        try:
            await browsers.open(pages)
            opened = time.time()
            before, load = _cpu_seconds(stack), os.getloadavg()[0]
            probing = asyncio.create_task(_probe(stack.console_url, run, cookies[0]))
            await _approve(stack, waiting)
            began = time.perf_counter()
            await _until(operator, run, lambda view: is_terminal(RunStatus(view.status)))
            seconds = time.perf_counter() - began
            probing.cancel()
            spent = {name: value - before[name] for name, value in _cpu_seconds(stack).items()}
            await asyncio.sleep(AFTER_SECONDS)
            found = Round(
                pages=pages,
                changes=waiting.plan.changes if waiting.plan is not None else 0,
                applying_seconds=seconds,
                load_average=load,
                whole_pages_ms=await probing,
                reloads=browsers.reloads,
                sign_in_ms=sign_in_ms,
                console_cpu_percent=100 * spent[CONSOLE] / seconds,
                auditor_cpu_percent=100 * spent["auditor"] / seconds,
                console_peak_mb=_peak_mb(stack),
            )
            states, concluded = _stored(stack, run, since=opened)
            for page in browsers.pages:
                _compare(page, states, concluded, found)
            return found
        finally:
            await browsers.close()


async def _signed_in(stack: Stack, profile: str) -> str:
    password = stack.layout.console_password(profile).read_text(encoding="utf-8").strip()
    return await signed_in(stack.console_url, load_profile(stack.layout.data, profile).user, password)


async def _approve(stack: Stack, waiting: RunView) -> None:
    assert waiting.plan is not None
    for profile in APPROVERS[: waiting.plan.approvals_needed]:
        signed = signed_decision(
            waiting.plan,
            run=waiting.run,
            decision="approve",
            approver=profile,
            reason="measurement",
            is_override=waiting.status == "held",
            key_text=stack.layout.approval_key(profile).read_text(encoding="utf-8"),
            now=datetime.now(UTC),
            ids=RandomIds(),
        )
        async with stack.client(profile) as person:
            await person.approve(DecideRun(signed=signed))


async def _until(operator: PersonClient, run: str, is_there: Any) -> RunView:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            view = (await operator.run(run)).run
            if view is not None and is_there(view):
                return view
            await asyncio.sleep(0.1)


async def _probe(url: str, run: str, cookie: str) -> dict[str, list[float]]:
    """Ask for whole pages in turn until cancelled; milliseconds until the first byte of each."""
    found: dict[str, list[float]] = {path: [] for path in ("/", "/runs", f"/runs/{run}", f"/runs/{run}/plan")}
    async with aiohttp.ClientSession(headers={"cookie": cookie}) as http:
        try:
            while True:
                for path, times in found.items():
                    began = time.perf_counter()
                    async with http.get(url + path) as answer:
                        times.append((time.perf_counter() - began) * 1000)
                        assert answer.status == 200, (path, answer.status)
                        await answer.read()
                    await asyncio.sleep(PROBE_SECONDS)
        except asyncio.CancelledError:
            return {path.replace(run, "{run}"): times for path, times in found.items()}


def _stored(stack: Stack, run: str, *, since: float) -> tuple[list[tuple[str, float]], list[float]]:
    """When the bus stored each new state of the run, and each conclusion of a change, after the pages were open."""
    states: list[tuple[str, float]] = []
    concluded: list[float] = []
    query = "select type, body from entry where run = ? and type in (?, ?) order by entry_index"
    with closing(sqlite3.connect(stack.layout.database("auditor"))) as record:
        rows = record.execute(query, (run, "aether.run.state.v1", "aether.change.concluded.v1")).fetchall()
    for kind, text in rows:
        body = json.loads(text)
        at = datetime.fromisoformat(body["recorded_at"]).timestamp()
        if kind == "aether.change.concluded.v1":
            concluded.append(at)
        elif not states or states[-1][0] != body["summary"]["status"]:
            states.append((body["summary"]["status"], at))
    return [(status, at if at > since else 0.0) for status, at in states], sorted(concluded)


def _compare(page: LivePage, states: list[tuple[str, float]], concluded: list[float], found: Round) -> None:
    """How long after it was stored this page held each thing, or something newer."""
    order = [status for status, _ in states]
    number, rank = 0, 0
    for told in page.told():
        found.events_sent += 1
        if told.name == "head" and (shown := SHOWN_STATUS.search(told.data)) is not None:
            now = order.index(shown[1].replace(" ", "_").replace("-", "_")) + 1
            found.states_ms += [(told.at - at) * 1000 for _, at in states[rank:now] if at > 0]
            rank = max(rank, now)
        elif told.name == "counts":
            shown = CONCLUDED.search(told.data)
            # Nothing is told of progress once the run has ended: then all of it is concluded.
            now = int(shown[1].replace(",", "")) if shown is not None else len(concluded) if rank == len(states) else 0
            found.changes_ms += [(told.at - at) * 1000 for at in concluded[number:now]]
            number = max(number, now)
    assert number == len(concluded), f"a page shows {number} of {len(concluded)} changes in the end"
    assert rank == len(states), f"a page shows {order[rank - 1]} in the end, the run is {order[-1]}"


def _cpu_seconds(stack: Stack) -> dict[str, float]:
    """What console and auditor have used of the processors so far, as the kernel tells."""
    spent = {}
    for name in (CONSOLE, "auditor"):
        text = Path(f"/proc/{stack.pid(name)}/stat").read_text(encoding="ascii")
        # Behind the name of the program: state, then numbers; user and system are 12 and 13.
        words = text.rpartition(")")[2].split()
        spent[name] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def _peak_mb(stack: Stack) -> int:
    text = Path(f"/proc/{stack.pid(CONSOLE)}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+)", text)
    return int(found[1]) // 1024 if found is not None else 0


def _print(number: int, one: Round) -> None:
    print(
        f"\nround {number}: {one.pages} pages, {one.changes} changes in {one.applying_seconds:.1f} s, "
        f"load average {one.load_average:.1f} on {os.cpu_count()} cores"
    )
    print(f"{'milliseconds':<34}{'p50':>8}{'p95':>8}{'max':>8}{'number':>9}")
    _line("change concluded, to each page", one.changes_ms, GOAL_MS)
    _line("state entered, to each page", one.states_ms, GOAL_MS)
    for path, times in one.whole_pages_ms.items():
        _line(f"first byte of {path}", times, None)
    print(
        f"events sent {one.events_sent}, own loads of pages {one.reloads}, sign-in {one.sign_in_ms:.0f} ms, console "
        f"{one.console_cpu_percent:.0f} % of a core and {one.console_peak_mb} MB, auditor "
        f"{one.auditor_cpu_percent:.0f} %",
        flush=True,
    )


def _line(name: str, times: list[float], goal: float | None) -> None:
    if not times:
        print(f"{name:<34}{'none':>8}")
        return
    ordered = sorted(times)
    high = ordered[max(0, round(len(ordered) * 0.95) - 1)]
    over = "  over the goal" if goal is not None and high > goal else ""
    print(f"{name:<34}{statistics.median(ordered):8.0f}{high:8.0f}{ordered[-1]:8.0f}{len(ordered):9}{over}")


if __name__ == "__main__":
    asyncio.run(main())
