"""Klaxon Alerts as a system without code: its folder, changed as a test wants it, and the house's ends of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from shared.ports.connections import Connection
from shared.ports.registry import Registry
from shared.ports.system import ExpectedRows, Page, Source, Target
from shared.ports.wire import ChangeVerb, Record, Wire
from tests.conformance.bench import Observed
from tests.simulators.alerts.running_alerts import BEARER, ID, KEY, ORGANIZATION, SECRET
from tests.support.systems import installed_systems

VENDORS = Path(__file__).with_name("vendors")
SECRETS = {
    "env:SECRET": SECRET,
    "env:KEY": KEY,
    "env:TOKEN": BEARER,
    "env:PASSWORD": SECRET,
    "env:WRONG": "secret-that-nobody-knows",
}
OAUTH: Mapping[str, Any] = {"client_id": ID, "client_secret": "env:SECRET"}
PAGE_LIMIT = 10


@dataclass
class Ends:
    """What the house has of one connection."""

    registry: Registry
    observed: Observed
    url: str
    opened: list[Source] = field(default_factory=list)

    def connection(self, **settings: Any) -> Connection:
        """A connection to Klaxon; `secrets` of another way of proving who asks replace those of a client."""
        proof = dict(settings.pop("proof", OAUTH))
        given = {
            "base_url": self.url,
            "parameters": {"organization_id": str(ORGANIZATION)},
            "page_limit": PAGE_LIMIT,
            "timeout_seconds": 5,
            **proof,
            **settings,
        }
        return Connection(name="klaxon", system="klaxon", environment="staging", settings=given)

    def source(self, **settings: Any) -> Source:
        """A source, closed at the end."""
        self.opened.append(self.registry.open_source(self.connection(**settings)))
        return self.opened[-1]

    def target(self, **settings: Any) -> Target:
        """A target, closed at the end."""
        target = self.registry.open_target(self.connection(**settings))
        self.opened.append(target)
        return target

    @property
    def wire(self) -> Wire:
        """The encoder."""
        return self.registry.wire("klaxon")

    async def written(self, target: Target, verb: ChangeVerb, target_id: str | None, **values: Any) -> str | None:
        """Make one write of a contact and send it; the id that the receipt tells."""
        write = self.wire.write_for("contacts", verb=verb, target_id=target_id, values=values)
        return (await target.write(write, idempotency_key="k")).target_id


def vendors_folder(
    folder: Path,
    *,
    interface: Mapping[str, Any] | None = None,
    contacts: Mapping[str, Any] | None = None,
    companions: list[str] | None = None,
) -> Path:
    """A copy of Klaxon's folder in which clauses of the interface, and of its contacts, are replaced; None takes one
    away."""
    copy = folder / "vendors"
    shutil.copytree(VENDORS, copy)
    manifest, described = (json.loads(_plain(name)) for name in ("manifest.yaml", "http.yaml"))
    _replace(described, interface or {})
    _replace(described["entities"]["contacts"], contacts or {})
    if companions is not None:
        manifest["entities"]["contacts"]["write_companions"] = companions
    # JSON is YAML, but for names that are no text.
    text = json.dumps(described).replace('"true":', "true:").replace('"false":', "false:")
    (copy / "klaxon" / "manifest.yaml").write_text(json.dumps(manifest), encoding="utf-8")
    (copy / "klaxon" / "http.yaml").write_text(text, encoding="utf-8")
    return copy


@asynccontextmanager
async def ends(url: str, folder: Path, secrets: Mapping[str, str] | None = None, **changes: Any) -> AsyncIterator[Ends]:
    """The house's ends of a Klaxon at that address, described with those changes."""
    observed = Observed()
    registry = installed_systems(
        vendors_folder=vendors_folder(folder, **changes),
        surroundings=observed.surroundings({**SECRETS, **(secrets or {})}),
    )
    made = Ends(registry, observed, url)
    try:
        yield made
    finally:
        for each in made.opened:
            await each.close()


async def read(source: Source, entity: str = "contacts") -> tuple[list[Record], ExpectedRows | None, list[Page]]:
    """Every row of one reading, what it expects, and its pages."""
    reading = source.read(entity)
    pages = [page async for page in reading]
    return [row for page in pages for row in page.rows.to_dicts()], reading.expected, pages


def contact(number: int = 99, **values: Any) -> dict[str, Any]:
    """All canonical fields of a new contact."""
    return {
        "external_id": f"N{number}",
        "first_name": "Zoë",
        "last_name": "O'Neil",
        "record_type": "STAFF",
        "job_title": None,
        "active": True,
        "email": f"zoe{number}@example.org",
        "mobile": "+17145550100",
        **values,
    }


@cache
def _plain(name: str) -> str:
    """A document of Klaxon's folder as JSON, read once."""
    return json.dumps(YAML(typ="safe", pure=True).load(VENDORS / "klaxon" / name))


def _replace(document: Any, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if value is None:
            document.pop(name, None)
        else:
            document[name] = value
