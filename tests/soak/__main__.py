"""`python -m tests.soak --minutes 30 [--seed N]`: break the house on purpose for so long, and say what held.

It goes by turns over crash points, kills at random moments, weather on the wires and a cluster, while simulated seeds
run beside them. A line a minute, a table at the end (also in a file); exit code 1 on any violation, and when a part did
not run: nothing passes by absence. `--point NAME`, `--crash-seed N` and `--proxy-seed N` repeat one round.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any, Final

import structlog

from tests.soak.tally import Round, Tally

PARTS: Final = ("simulation", "crashes", "proxies", "cluster")
TURN_SECONDS: Final = {"crashes": 240.0, "proxies": 90.0, "cluster": 30.0}
"""How long a part has its turn; a round that has begun is ended."""
LINE_SECONDS: Final = 60.0
REPORT: Final = Path("soak.txt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak as the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None, help="drawn and told when it is left out")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the table is written")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts alone; may be given again")
    parser.add_argument("--point", help="one crash point, once")
    parser.add_argument("--nth", type=int, help="which call of --point")
    parser.add_argument("--crash-seed", type=int, help="one round of crashes")
    parser.add_argument("--proxy-seed", type=int, help="one round of weather on the wires")
    asked = parser.parse_args(arguments)
    # Every round connects and leaves a dozen times; only what went wrong is worth a line.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    tally = Tally(seed)
    began = time.monotonic()
    parts: Sequence[str] = asked.only or PARTS
    if asked.point is not None or asked.crash_seed is not None or asked.proxy_seed is not None:
        parts = ("proxies",) if asked.proxy_seed is not None else ("crashes",)
        work = _once(asked, tally)
    else:
        sys.stdout.write(f"soak: {asked.minutes:g} min, seed {seed}, parts {', '.join(parts)}\n")
        sys.stdout.flush()
        work = _soak(parts, seconds=asked.minutes * 60, tally=tally)
    try:
        asyncio.run(_unless_ended(work))
    except asyncio.CancelledError:
        tally.absent["the rest"] = "the soak was ended before its time"
    table = tally.table(parts, (time.monotonic() - began) / 60)
    sys.stdout.write("\n" + table)
    asked.report.write_text(table, encoding="utf-8")
    return 0 if tally.has_held(parts) else 1


async def _unless_ended(work: Coroutine[Any, Any, None]) -> None:
    """Do it; a signal to end cancels it, so that what it came to is told all the same."""
    doing = asyncio.create_task(work, name="soak")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, doing.cancel)
    await doing


async def _once(asked: argparse.Namespace, tally: Tally) -> None:
    from tests.faults.crash_house import crash_house, small_district
    from tests.faults.crash_points import TWICE, point_named
    from tests.soak import parts

    if asked.proxy_seed is not None:
        tally.take(await anext(parts.proxies(_Fixed(asked.proxy_seed))))
        return
    with tempfile.TemporaryDirectory(prefix="aether-soak-") as name:
        folder = Path(name)
        async with crash_house(small_district(folder / "district"), folder / "house") as house:
            if asked.crash_seed is not None:
                tally.take(await parts.crash_round(house, asked.crash_seed))
                return
            pair = next((pair for pair in TWICE if pair[1] == asked.point), (asked.point,))
            deaths = tuple(point_named(each) for each in pair)
            repeat = f"python -m tests.soak --point {asked.point}"
            tally.take(await parts.died(house, deaths, nth=asked.nth, repeat=repeat))


class _Fixed(Random):
    """Draws one number, which a person has given."""

    def __init__(self, number: int) -> None:
        super().__init__(0)
        self._number = number

    def randrange(self, *_: Any, **__: Any) -> int:
        """The number."""
        return self._number


async def _soak(wanted: Sequence[str], *, seconds: float, tally: Tally) -> None:
    try:
        from tests.soak import parts
    except Exception as error:  # noqa: BLE001 - whatever keeps a part from being loaded, it has not run
        tally.absent = dict.fromkeys(wanted, f"{type(error).__name__}: {error}")
        return
    rng = Random(tally.seed)
    turns: dict[str, AsyncIterator[Round]] = {
        name: part(Random(rng.random()))
        for name, part in (("crashes", parts.crashes), ("proxies", parts.proxies), ("cluster", parts.cluster))
        if name in wanted
    }
    began = time.monotonic()
    async with AsyncExitStack() as held:
        telling = asyncio.create_task(_tell(tally, began), name="telling")
        held.callback(telling.cancel)
        if "simulation" in wanted:
            await held.enter_async_context(parts.simulation(1 + tally.seed * 10**6, tally.take))
        deadline = began + seconds
        while time.monotonic() < deadline or tally.idle(list(turns)):
            for name, rounds in turns.items():
                until = min(time.monotonic() + TURN_SECONDS[name], deadline)
                tally.take(await anext(rounds))
                while time.monotonic() < until:
                    tally.take(await anext(rounds))
            if not turns:
                await asyncio.sleep(min(LINE_SECONDS, max(deadline - time.monotonic(), 0.1)))
        for rounds in turns.values():
            await _closed(rounds)


async def _closed(rounds: AsyncIterator[Round]) -> None:
    close: Callable[[], Awaitable[None]] | None = getattr(rounds, "aclose", None)
    if close is not None:
        await close()


async def _tell(tally: Tally, began: float) -> None:
    told = 0
    while True:
        await asyncio.sleep(LINE_SECONDS)
        sys.stdout.write(tally.line((time.monotonic() - began) / 60) + "\n")
        sys.stdout.writelines(f"  violated: {text}\n    again: {again}\n" for text, again in tally.violations[told:])
        sys.stdout.flush()
        told = len(tally.violations)


if __name__ == "__main__":
    sys.exit(main())
