"""A real Prometheus beside a house of a test: it scrapes the admin ports each second and answers queries.

It is Debian's own program, started on a free port with the rules of deploy/prometheus; what it keeps is thrown away.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "deploy/prometheus/rules"
SCRAPE_SECONDS: Final = 1
START_SECONDS_MAX: Final = 30.0
LOG: Final = "prometheus.log"
PROGRAMS: Final = ("prometheus", "promtool", "amtool")


def why_not(*programs: str) -> str | None:
    """Why a test that needs these programs is skipped, or None."""
    missing = [name for name in programs if shutil.which(name) is None]
    if not missing:
        return None
    return f"{', '.join(missing)} is not on this machine (Debian: apt install prometheus prometheus-alertmanager)"


def any_free_port() -> int:
    """A port of the system's choice: never the console's usual one, which another test may be about to take."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


class Prometheus:
    """What is asked of it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def instant(self, query: str) -> list[dict[str, Any]]:
        """The series of a query now; a scalar is one series without labels."""
        data = await self._ask("/api/v1/query", {"query": query})
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        return list(data["result"])

    async def over(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[dict[str, Any]]:
        """The series of a query over a time."""
        asked = {"query": query, "start": str(begin), "end": str(end), "step": str(step_seconds)}
        return list((await self._ask("/api/v1/query_range", asked))["result"])

    async def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing."""
        return list((await self._ask("/api/v1/alerts", {}))["alerts"])

    async def targets(self) -> list[dict[str, Any]]:
        """What it scrapes."""
        return list((await self._ask("/api/v1/targets", {"state": "active"}))["activeTargets"])

    async def _ask(self, path: str, asked: Mapping[str, str]) -> Any:
        answer = await self._client.get(path, params=dict(asked))
        body = answer.json()
        assert body["status"] == "success", f"{asked}: {body.get('error')}"
        return body["data"]


@asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Prometheus on a folder of its own, scraping `targets`: the service and HOST:PORT of each."""
    port = any_free_port()
    process = _started(folder, targets, port=port)
    try:
        address = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as client:
            await _ready(client, process, folder)
            yield Prometheus(client)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _started(folder: Path, targets: Mapping[str, str], *, port: int) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(json.dumps(_config(targets)), encoding="utf-8")  # JSON is YAML
    with (folder / LOG).open("wb") as log:
        return subprocess.Popen(
            [
                *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
                *(f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage"),
            ],
            stdout=log,
            stderr=log,
        )


def _told(folder: Path) -> str:
    return (folder / LOG).read_text(encoding="utf-8")[-1000:]


def _config(targets: Mapping[str, str]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / "*.yml")],
        "scrape_configs": [
            {
                "job_name": "aether",
                "honor_labels": True,
                "static_configs": [
                    {"targets": [address], "labels": {"service": service}} for service, address in targets.items()
                ],
            }
        ],
    }


async def _ready(client: httpx.AsyncClient, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        assert process.poll() is None, f"prometheus ended: {_told(folder)}"
        try:
            if (await client.get("/-/ready")).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"prometheus is not ready after {START_SECONDS_MAX:g} s")
