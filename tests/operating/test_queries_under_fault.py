"""What a house without a fault does not have is brought about in a real one, and the panels over it have data.

In this house one program tries what it may not, somebody publishes nonsense and signs with a wrong key, the vendor
refuses the credential, the channel of the notices is dead, a token ends, and the vendor's connection has a rate.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

import cli.stack
from cli.embedded_setup import Layout, reference, write_demo_connections
from cli.stack import Stack
from cli.watching import follow
from deploy.grafana.building.queries import family_of, figures_of
from shared.asking.client import PersonClient
from shared.asking.deciding import signed_decision
from shared.asking.problem import CommandFailed
from shared.asking.profiles import load_profile, write_private
from shared.bus.connect import BusSettings, connect, leave
from shared.clock import SystemClock
from shared.events.commands import DecideRun, RequestRun
from shared.events.queries import RunView
from shared.hashing.signing import generate, private_key_pem
from shared.ids import RandomIds
from shared.secrets import resolve
from tests.console.played import CONNECTOR
from tests.operating.asking import has_data, queries, series_of
from tests.operating.prometheus import Prometheus, prometheus, why_not
from tests.operating.under_fault import ONLY_UNDER_FAULT
from tests.operating.watched import Watched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(why_not("prometheus") is not None, reason=str(why_not("prometheus"))),
]

SERVICES: Final = ("extractor", "differ", "applier", "auditor", "monitor")
RATE_PER_SECOND: Final = 50
SEEN_SECONDS_MAX: Final = 60.0
NOTICES: Final = """\
channels:
  - {name: dead, kind: slack, url: "file:ADDRESS"}
"""


def _token_that_ends(*, days: int) -> str:
    """A token of three parts whose claims say when it ends, as many vendors give."""
    parts = ({"alg": "none"}, {"exp": int(time.time()) + days * 86400})
    head, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{claims}.c2lnbmF0dXJl"


def _our_write_token(layout: Layout) -> Path:
    """The house's own copy of the token; the vendor keeps the right one."""
    return layout.write_token.with_name("our-write-token")


def _connections_with_a_rate(layout: Layout, *, vendor_url: str) -> None:
    write_private(_our_write_token(layout), layout.write_token.read_text(encoding="utf-8"))
    write_demo_connections(layout, vendor_url=vendor_url)
    head, _, text = layout.connections.read_text(encoding="utf-8").partition("\n")
    document = json.loads(text)
    vendor = document["connections"]["titanhst"]
    vendor["rate_per_second"] = RATE_PER_SECOND
    vendor["settings"]["write_token"] = reference(_our_write_token(layout))
    write_private(layout.connections, f"{head}\n{json.dumps(document)}\n")


def _notices(folder: Path) -> Path:
    """A channel behind whose address nobody listens."""
    address = folder / "address"
    write_private(address, "http://127.0.0.1:1/notices")
    document = folder / "notices.yaml"
    document.write_text(NOTICES.replace("ADDRESS", str(address)), encoding="utf-8")
    return document


async def _asked(operator: PersonClient) -> RunView:
    reply = await operator.request_run(RequestRun.model_validate({"connector": CONNECTOR, "mode": "apply"}))
    assert reply.run is not None
    answer = await follow(operator, reply.run, clock=SystemClock(), seconds_max=60)
    assert answer.run is not None
    return answer.run


def _decision(stack: Stack, view: RunView, profile: str, *, key: str | None = None) -> DecideRun:
    person = load_profile(stack.layout.data, profile)
    assert view.plan is not None
    assert person.approval_key is not None
    signed = signed_decision(
        view.plan,
        run=view.run,
        decision="approve",
        approver=person.user,
        reason="for a test",
        is_override=view.status == "held",
        key_text=key or resolve(person.approval_key),
        now=datetime.now(UTC),
        ids=RandomIds(),
    )
    return DecideRun(signed=signed)


async def _publish_nonsense(stack: Stack) -> None:
    """As the extractor, onto a subject that is worked off by the differ."""
    password = (stack.layout.bus / "secrets/extractor").read_text(encoding="utf-8")
    client = await connect(BusSettings(url=stack.bus_url, user="extractor", password=password))
    try:
        await client.jetstream().publish("cmd.diff.nonsense.0", b"{no json", stream="CORE")
    finally:
        await leave(client)


async def _do_everything_wrong(stack: Stack, asked: Prometheus) -> None:
    await _publish_nonsense(stack)
    async with stack.client("operator") as operator:
        view = await _asked(operator)
    wrong = private_key_pem(generate())
    async with stack.client("approver") as approver:
        with pytest.raises(CommandFailed):
            await approver.approve(_decision(stack, view, "approver", key=wrong))
    # A rate is only seen of what rises after it was seen once.
    await _until_known(asked, "aether_rate_limit_wait_seconds_count")
    async with stack.client("operator") as operator:
        view = await _asked(operator)
    write_private(_our_write_token(stack.layout), "no-longer-right")
    for profile in ("approver", "approver2"):
        async with stack.client(profile) as person:
            reply = await person.approve(_decision(stack, view, profile))
        if reply.status == "approved":
            break


async def _until_known(asked: Prometheus, name: str) -> None:
    deadline = time.monotonic() + SEEN_SECONDS_MAX
    while not await asked.instant(name):
        assert time.monotonic() < deadline, f"{name} is given by nobody"
        await asyncio.sleep(0.5)


async def _without_data(watched: Watched) -> dict[str, str]:
    """Queries over figures that a fault brings, and that have no data yet."""
    return {
        query.expr: where
        for where, panel, query in queries()
        if any((row := family_of(name)) is not None and row.name in ONLY_UNDER_FAULT for name in figures_of(query.expr))
        and not has_data(await series_of(watched, panel, query))
    }


async def _seen(watched: Watched) -> dict[str, str]:
    deadline = time.monotonic() + SEEN_SECONDS_MAX
    while (empty := await _without_data(watched)) and time.monotonic() < deadline:
        await asyncio.sleep(1)
    return empty


async def _has_fired(asked: Prometheus) -> set[str]:
    return {one["labels"]["alertname"] for one in await asked.alerts() if one["state"] == "firing"}


async def test_every_query_over_what_only_a_fault_brings_has_data_under_that_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = tmp_path / "house"
    monkeypatch.setattr(cli.stack, "write_demo_connections", _connections_with_a_rate)
    layout = Layout(house.resolve(), True)
    layout.read_token.parent.mkdir(parents=True, mode=0o700)
    layout.data.chmod(0o700)
    write_private(layout.read_token, _token_that_ends(days=10))
    stack = Stack(
        house,
        is_demo=True,
        staff=400,
        has_past=False,
        has_monitor=True,
        programs={"differ": ("tests.operating.trespassing_differ",)},
        settings={"monitor": {"AETHER_NOTICES": str(_notices(tmp_path))}},
    )
    async with stack:
        targets = {name: urlsplit(stack.admin_url(name)).netloc for name in SERVICES}
        began = time.time()
        async with prometheus(tmp_path / "prometheus", targets) as asked:
            watched = Watched(stack=stack, prometheus=asked, began=began)
            await _do_everything_wrong(stack, asked)
            assert await _seen(watched) == {}
            for figure in ONLY_UNDER_FAULT:
                name = f"{figure}_count" if figure.endswith("_seconds") and "wait" in figure else figure
                assert await asked.instant(name), f"{figure}: {ONLY_UNDER_FAULT[figure]}, and here neither"
            # And the alerts on it fire, from the real rules on the real figures.
            wanted = {"AlarmRaised", "UnauthorisedPublish", "DeadLetters", "CredentialEnds"}
            deadline = time.monotonic() + SEEN_SECONDS_MAX
            while not wanted <= (fired := await _has_fired(asked)) and time.monotonic() < deadline:
                await asyncio.sleep(1)
            assert wanted <= fired
