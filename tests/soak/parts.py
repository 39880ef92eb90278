"""What a soak does by turns: crashes in a running house, weather on the wires, a cluster that loses its leader.

Each part yields rounds; whatever goes wrong in one, also in its own machinery, is a violation of that round, and the
part begins anew with what it needs. The simulation runs beside them, in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.crash_house import CrashHouse, crash_house, small_district
from tests.faults.crash_points import Deaths, all_deaths
from tests.faults.house_behind_proxies import proxy_round
from tests.soak.tally import Round

Part = Callable[[Random], AsyncIterator[Round]]
ROOT: Final = Path(__file__).resolve().parents[2]
NTH_MAX: Final = 12
KILLS_MAX: Final = 3
KILL_SECONDS_MAX: Final = 3.0
"""How long after a run was asked for a part may be killed at random; most of a run is over then."""
PARTS_KILLED: Final = ("extractor", "differ", "applier", "auditor", "bus")
CLUSTER_SECONDS_MAX: Final = 600.0
FIXED: Final = {"PYTHONHASHSEED": "0", "POLARS_MAX_THREADS": "1"}
"""A simulated seed can only be repeated where sets have the same order."""
_PASSED = re.compile(r"(\d+) passed")


# --- crashes --------------------------------------------------------------------------------------------------------


async def crashes(rng: Random) -> AsyncIterator[Round]:
    """Points of the crash table at random, or programs killed at random moments; endless."""
    while True:
        async with AsyncExitStack() as held:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="aether-soak-")))
            house = await held.enter_async_context(crash_house(small_district(folder / "district"), folder / "house"))
            is_clean = True
            while is_clean:
                number = rng.randrange(10**9)
                one = await crash_round(house, number)
                is_clean = not one.violations
                yield one


async def crash_round(house: CrashHouse, seed: int) -> Round:
    """One run, broken as the seed says."""
    rng = Random(seed)
    repeat = f"python -m tests.soak --crash-seed {seed}"
    if rng.random() < 0.25:
        return await _with_kills(house, rng, repeat)
    by_service: dict[str, list[Deaths]] = {}
    for deaths in all_deaths():
        by_service.setdefault(deaths[0].service, []).append(deaths)
    chosen = [rng.choice(by_service[service]) for service in rng.sample(sorted(by_service), rng.randint(1, 3))]
    nth = rng.choice((None, None, rng.randint(1, NTH_MAX)))
    return await died(house, *chosen, nth=nth, repeat=repeat)


async def died(house: CrashHouse, *chosen: Deaths, nth: int | None, repeat: str) -> Round:
    """One run in which programs die at these points."""
    try:
        trial = await house.exercise(*chosen, nth=nth)
    except Exception as error:  # noqa: BLE001 - a soak reports and goes on
        names = "+".join(point.name for deaths in chosen for point in deaths)
        return Round("crashes", repeat, violations=[f"{names} (nth {nth}): {_told(error)}; {_kept(house)}"])
    faults = Counter(point.name for deaths in chosen for point in deaths if point.name not in trial.missed)
    return Round("crashes", repeat, faults, runs=1, changes=trial.changes, missed=len(trial.missed))


async def _with_kills(house: CrashHouse, rng: Random, repeat: str) -> Round:
    kills = sorted(
        (rng.uniform(0, KILL_SECONDS_MAX), rng.choice(PARTS_KILLED)) for _ in range(rng.randint(1, KILLS_MAX))
    )

    async def kill() -> None:
        at = 0.0
        for moment, part in kills:
            await asyncio.sleep(moment - at)
            at = moment
            if part == "bus":
                house.road.stack.kill(part)
            else:
                await house.crash(part)

    try:
        trial = await house.exercise(beside=kill)
    except Exception as error:  # noqa: BLE001 - a soak reports and goes on
        return Round("crashes", repeat, violations=[f"killed {kills}: {_told(error)}; {_kept(house)}"])
    return Round("crashes", repeat, Counter(f"sigkill {part}" for _, part in kills), runs=1, changes=trial.changes)


def _kept(house: CrashHouse) -> str:
    """Where what the programs said is kept; the house itself is torn down after a violation."""
    place = Path(tempfile.mkdtemp(prefix="aether-soak-kept-"))
    layout = house.road.stack.layout
    shutil.copytree(layout.logs, place / "logs")
    shutil.copytree(layout.bus, place / "bus", ignore=shutil.ignore_patterns("secrets"), dirs_exist_ok=True)
    return f"logs and bus: {place}"


# --- wires and servers ----------------------------------------------------------------------------------------------


async def proxies(rng: Random) -> AsyncIterator[Round]:
    """Weather on the wires to bus, vendor and database; endless."""
    while True:
        seed = rng.randrange(10**9)
        repeat = f"python -m tests.soak --proxy-seed {seed}"
        try:
            report = await proxy_round(seed)
        except Exception as error:  # noqa: BLE001 - a soak reports and goes on
            yield Round("proxies", repeat, violations=[_told(error)])
        else:
            yield Round(
                "proxies", repeat, report.faults, runs=report.runs, changes=report.changes, violations=report.violations
            )


async def cluster(rng: Random) -> AsyncIterator[Round]:
    """A cluster of three whose leader is killed, frozen and parted during an apply; endless."""
    del rng  # its moments are those of the tests
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/faults/test_cluster.py")
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=ROOT,
            env={**os.environ, "AETHER_FAULTS": "whole"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(CLUSTER_SECONDS_MAX):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            output = f"not done after {CLUSTER_SECONDS_MAX:g} s".encode()
        text = output.decode(errors="replace")
        found = _PASSED.search(text)
        violations = [] if process.returncode == 0 else [_failed(text)]
        passed = int(found.group(1)) if found else 0
        yield Round("cluster", f"python {' '.join(arguments)}", {"cluster tests": passed}, passed, 0, violations)


def _failed(output: str) -> str:
    """Which tests failed, and a file that holds all that they said."""
    with tempfile.NamedTemporaryFile("w", prefix="aether-soak-cluster-", suffix=".txt", delete=False) as whole:
        whole.write(output)
    names = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return f"{'; '.join(names) or output.strip()[-300:]} (all of it: {whole.name})"


# --- simulation -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def simulation(first: int, take: Callable[[Round], None]) -> AsyncIterator[None]:
    """Simulated seeds from `first` on, for as long as the block lasts, in a process beside us."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.simulated", "--first", str(first)),
        cwd=ROOT,
        env=os.environ | FIXED,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    hearing = asyncio.create_task(_heard(process, take), name="simulation")
    try:
        yield
        if process.returncode is not None:
            take(Round("simulation", _simulated(first), violations=[f"its process ended with {process.returncode}"]))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await hearing


async def _heard(process: asyncio.subprocess.Process, take: Callable[[Round], None]) -> None:
    if process.stdout is None:
        raise RuntimeError("the simulation has no output to be heard")
    async for line in process.stdout:
        told = json.loads(line)
        take(
            Round(
                "simulation",
                _simulated(told["seed"]),
                told["faults"],
                runs=told["runs"],
                changes=told["changes"],
                violations=told["violations"],
            )
        )


def _simulated(seed: int) -> str:
    return f"python -m tests.simulation --from {seed} --seeds 1"


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
