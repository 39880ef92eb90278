"""The composition of a checkout on a Docker engine: started, asked, killed, cut off; through `docker` alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

COMMAND_SECONDS_MAX = 900
PROJECT = "aether-try"
PYTHON = "/venv/bin/python"
SIMULATOR = "http://127.0.0.1:8080"


class DidNotHold(Exception):
    """What was promised and is not so."""


class Composition:
    """One project of compose, in one checkout."""

    def __init__(self, checkout: Path, *, say: Callable[[str], None], settings: dict[str, str]) -> None:
        self.checkout = checkout
        self._say = say
        self._environment = {**os.environ, "COMPOSE_PROJECT_NAME": PROJECT, "BUILDKIT_PROGRESS": "plain", **settings}

    # -- compose -----------------------------------------------------------------------------------------------------

    def compose(self, *arguments: str, check: bool = True, seconds_max: float = COMMAND_SECONDS_MAX) -> str:
        """Run `docker compose`; what it printed on stdout."""
        return self._run(["docker", "compose", *arguments], check=check, seconds_max=seconds_max)

    def docker(self, *arguments: str) -> str:
        """Run `docker`."""
        return self._run(["docker", *arguments])

    def piped(self, *arguments: str, of: Path | None = None, to: Path | None = None) -> None:
        """Run `docker compose` with a file as its input, or one as its output."""
        with (of or Path(os.devnull)).open("rb") as given, (to or Path(os.devnull)).open("wb") as taken:
            done = subprocess.run(
                ["docker", "compose", *arguments],
                cwd=self.checkout, env=self._environment, stdin=given, stdout=taken, stderr=subprocess.PIPE,
                timeout=COMMAND_SECONDS_MAX, check=False,
            )  # fmt: skip
        if done.returncode != 0:
            raise DidNotHold(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")

    def aether(self, *arguments: str, profile: str = "operator", codes: Sequence[int] = (0,)) -> Any:
        """The command line in a container of its own, as that person; the JSON it prints."""
        command = ["docker", "compose", "run", "--rm", "-T", "tools", "aether", "--profile", profile, *arguments]
        done = subprocess.run(
            [*command, "--json"],
            cwd=self.checkout, env=self._environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode not in codes:
            raise DidNotHold(f"aether {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def up(self, *arguments: str, demo: bool = False) -> float:
        """`up --wait`; the seconds it took."""
        began = time.monotonic()
        profile = ["--profile", "demo"] if demo else []
        self.compose(*profile, "up", "--detach", "--no-build", "--wait", "--wait-timeout", "300", *arguments)
        return time.monotonic() - began

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """What the engine says of the containers that are there."""
        text = self.compose("--profile", "demo", "ps", "--all", "--quiet", *([service] if service else []))
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *text.split())) if text.split() else []
        return found

    def container(self, service: str) -> dict[str, Any]:
        """The one container of a service."""
        (only,) = self.containers(service)
        return only

    # -- the simulated vendor ----------------------------------------------------------------------------------------

    def read(self, path: str) -> Any:
        """A JSON document of the sample district, a path of the vendor's control plane or a file."""
        where = f"open({path!r}, 'rb')" if path.startswith("/district/") else f"get({SIMULATOR + path!r})"
        imports = "import shutil, sys; from urllib.request import urlopen as get"
        script = f"{imports}; shutil.copyfileobj({where}, sys.stdout.buffer)"
        return json.loads(self.compose("exec", "-T", "titanhst", PYTHON, "-c", script))

    def effects(self) -> int:
        """How many effects the vendor has seen."""
        return sum(len(each) for each in self.read("/_sim/effects")["effects"].values())

    # -- what happens to it ------------------------------------------------------------------------------------------

    def kill(self, service: str) -> None:
        """Kill the process itself, so that the restart policy acts."""
        os.kill(int(self.container(service)["State"]["Pid"]), signal.SIGKILL)

    def network(self, name: str) -> str:
        """The engine's name of one of the composition's networks."""
        return f"{PROJECT}_{name}"

    def volume(self, name: str) -> str:
        """The engine's name of one of the composition's volumes."""
        return f"{PROJECT}_{name}"

    def leader(self, stream: str) -> str:
        """The server that leads a stream."""
        figures = "http://127.0.0.1:8222/jsz?accounts=1&streams=1"
        text = self.compose("exec", "-T", "nats1", "wget", "-q", "-O", "-", figures)
        for account in json.loads(text)["account_details"]:
            for each in account.get("stream_detail", []):
                if each["name"] == stream:
                    return str(each["cluster"]["leader"])
        raise DidNotHold(f"nats1 knows no stream {stream}")

    def until(self, what: str, holds: Callable[[], bool], *, seconds_max: float, pause: float = 0.5) -> float:
        """Wait until something holds; the seconds it took."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > seconds_max:
                raise DidNotHold(f"{what}: not so after {seconds_max:g} s")
            time.sleep(pause)
        return time.monotonic() - began

    def _run(self, command: list[str], *, check: bool = True, seconds_max: float = COMMAND_SECONDS_MAX) -> str:
        done = subprocess.run(
            command, cwd=self.checkout, env=self._environment, capture_output=True, text=True, timeout=seconds_max,
            check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            tail = (done.stdout + done.stderr)[-4000:]
            raise DidNotHold(f"`{' '.join(command)}` ended with {done.returncode}:\n{tail}")
        return done.stdout
