"""Rounds on three servers for whoever runs many seeds: one apply, and in its middle one server that fails."""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, Literal, get_args

from tests.faults.house_behind_proxies import RoundReport
from tests.faults.slow_house import Promises, slow_house
from tests.support.cluster import ClusterUnderTest, cluster

CHANGES: Final = 100
LEASE_SECONDS: Final = 12
FAULT_SECONDS_MAX: Final = 8.0
ROUND_SECONDS_MAX: Final = 150.0

Befalls = Literal["killed", "frozen", "parted"]
STREAMS: Final = ("LEDGER", "CORE", "LEASE")


async def cluster_round(seed: int) -> RoundReport:
    """One round on a cluster of its own. Call it from the main thread."""
    rng = Random(seed)
    befalls: Befalls = rng.choice(get_args(Befalls))
    stream, seconds = rng.choice(STREAMS), rng.uniform(0.5, FAULT_SECONDS_MAX)
    told = f"leader of {stream} {befalls} for {seconds:.1f} s"
    violations: list[str] = []
    with tempfile.TemporaryDirectory(prefix="aether-cluster-") as name:
        async with cluster(Path(name)) as three:
            house = await slow_house(three, Path(name) / "house")
            house.settled = partial(three.until_alike, "CORE", "LEDGER", "PLAN", "SNAP")
            house.lease_seconds = LEASE_SECONDS
            try:
                async with asyncio.timeout(ROUND_SECONDS_MAX):
                    await house.approved(CHANGES)
                    promises = Promises()
                    async with house.applying(promises, after_writes=rng.randint(1, CHANGES * 3 // 4)) as applying:
                        leader = await three.until_led(stream)
                        await _befall(three, leader, befalls, seconds)
                        await applying
                    await house.assert_each_once(promises, CHANGES)
            except (AssertionError, TimeoutError) as failed:
                violations.append((str(failed) or f"not at its end after {ROUND_SECONDS_MAX:g} s").splitlines()[0])
            finally:
                await house.close()
    return RoundReport(seed, {f"cluster.{befalls}": 1}, 1, len(house.effects()), tuple(violations), (told,))


async def _befall(three: ClusterUnderTest, node: str, befalls: Befalls, seconds: float) -> None:
    """Break one server for a while and mend it."""
    if befalls == "killed":
        three.nodes[node].kill()
        await asyncio.sleep(seconds)
        await three.nodes[node].restart_async()
    elif befalls == "frozen":
        three.freeze(node)
        try:
            await asyncio.sleep(seconds)
        finally:
            three.thaw(node)
    else:
        three.part(node)
        await asyncio.sleep(seconds)
        three.heal()
