"""Makes what the composition needs and does not have: keys, passwords, certificates, configuration, profiles.

`make` may be called at every start: what there is stays as it is, apart from certificates that end soon and what is
derived from the rest. Who is no person of the house any more loses profile, password and key in the programs' folders.
Each program's folder gets what that program needs and nothing more: the extractor no commitment key, the differ no
credential, nobody but the console and the people themselves a person's key. It starts nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cli.embedded_setup import LOG_ORIGIN, PEOPLE, Layout, PersonSpec, prepare, verifier_key
from deploy.postgres.roles import CONSOLE_READER, DATABASES, MONITOR_READER, all_roles
from deploy.setup.certificates import Pair, is_good, make_authority, make_certificate
from deploy.setup.places import GRAFANA, MOUNTED, NODES, POSTGRES, SERVICES, House, give, mounted
from shared.asking.profiles import Profile, save_profile, write_private
from shared.bus.server_config import Cluster, Listen, Person, Tls, render_server_config
from shared.bus.topology import HOUSE_USERS, PROVISIONER, Environment
from shared.hashing.signing import load_private_key, public_key_bytes

SECRET_BYTES = 32
CLIENT_PORT, ROUTE_PORT, MONITORING_PORT = 4222, 6222, 8222
CLUSTER_NAME = "aether"
GIVEN_CONNECTIONS = "connections.given.yaml"
"""The district's own, as they were given last; what the programs have may be the sample district's."""
STORE_FOLDER = Path("/data")
"""Where a server of the bus has its streams."""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - within a container; what is reachable is said by its networks and ports
NATS_URL = ",".join(f"tls://{node}:{CLIENT_PORT}" for node in NODES)


PEOPLES_FOLDERS = ("profiles", "passwords", "keys", "accounts")
"""Where a program's folder has one file a person."""


class NotThisHouse(Exception):
    """What is wanted cannot be of the house that is there; says why, and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What the set-up is told."""

    environment: Environment
    connections: str
    """The district's connections file, as it is."""
    people: Sequence[PersonSpec] = PEOPLE


class Maker:
    """Everything that is made once and then kept, in the folder that nobody else has."""

    def __init__(self, folder: Path, *, now: datetime, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._now = now
        self._say = say

    def secret(self, name: str) -> str:
        """A random text, the same one ever after."""
        return self.once(name, lambda: secrets.token_urlsafe(SECRET_BYTES))

    def authority(self) -> Pair:
        """The house's certificate authority."""
        folder = self._folder / "certificates"
        if not (folder / "authority.pem").exists():
            pair = make_authority("Aether Integrator", now=self._now)
            give(folder, "authority.key", pair.key)
            give(folder, "authority.pem", pair.certificate)
            self._say("made a certificate authority")
        return Pair((folder / "authority.pem").read_text(), (folder / "authority.key").read_text())

    def certificate(self, server: str) -> Pair:
        """The certificate of a server; a new one when the kept one ends soon."""
        folder, names = self._folder / "certificates", (server, "localhost")
        authority = self.authority()
        path = folder / f"{server}.pem"
        if not path.exists() or not is_good(path.read_text(), authority, names, now=self._now):
            pair = make_certificate(authority, names, now=self._now)
            give(folder, f"{server}.key", pair.key)
            give(folder, f"{server}.pem", pair.certificate)
            self._say(f"made a certificate for {server}; it serves from its next start on")
        return Pair(path.read_text(), (folder / f"{server}.key").read_text())

    def once(self, name: str, make: Callable[[], str]) -> str:
        """A text that is made when there is none, the same one ever after."""
        path = self._folder / name
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, make() + "\n")
            self._say(f"made {name}")
        return path.read_text().strip()


def make(house: House, wanted: Wanted, *, now: datetime, say: Callable[[str], None] = lambda _: None) -> None:
    """Make what is missing, and give every program its part; `NotThisHouse` when it is one of another environment."""
    layout = Layout(house.all, is_demo=False)
    maker = Maker(house.all, now=now, say=say)
    _keep_environment(maker, wanted.environment)
    prepare(layout, wanted.people)
    authority = maker.authority().certificate
    for name in (*SERVICES, PROVISIONER, "people", "backup"):
        give(house.of(name), "authority.pem", authority)
    # Nobody else may take streams, or put them back.
    give(house.of("backup"), "bus.password", maker.secret(f"bus/{PROVISIONER}"))
    for name in (*SERVICES, PROVISIONER):
        give(house.of(name), "bus.password", maker.secret(f"bus/{name}"))
    _give_bus(house, maker, wanted)
    _give_databases(house, maker)
    _give_services(house, layout, wanted)
    _give_people(house.of("people"), layout, maker, wanted.people)
    for person in wanted.people:
        first = layout.console_password(person.profile).read_text()
        give(house.of("people"), f"accounts/{person.user}", first)
    _give_people(house.of("console"), layout, maker, wanted.people)
    give(house.of(GRAFANA), "admin.password", maker.secret("grafana/admin"), is_readable=True)


def _keep_environment(maker: Maker, wanted: Environment) -> None:
    """The accounts of the bus bear it: under another one the same streams would seem to be gone."""
    kept = maker.once("environment", lambda: wanted)
    if kept != wanted:
        raise NotThisHouse(
            f"AETHER_ENVIRONMENT={wanted}, and this house is one of {kept} for ever; set it back, or begin another "
            "house under another name (docker compose --project-name)"
        )


def _give_bus(house: House, maker: Maker, wanted: Wanted) -> None:
    for node in NODES:
        pair = maker.certificate(node)
        others = tuple(f"{other}:{ROUTE_PORT}" for other in NODES if other != node)
        text = render_server_config(
            passwords={user: maker.secret(f"bus/{user}") for user in HOUSE_USERS},
            people=[
                Person(person.user, frozenset(person.roles), maker.secret(f"people/{person.user}"))
                for person in wanted.people
            ],
            store_dir=STORE_FOLDER,
            environment=wanted.environment,
            listen=Listen(EVERYWHERE, CLIENT_PORT, EVERYWHERE, MONITORING_PORT),
            server_name=node,
            cluster=Cluster(
                name=CLUSTER_NAME,
                port=ROUTE_PORT,
                routes=others,
                password=maker.secret("bus/route"),
                host=EVERYWHERE,
                advertise=f"{node}:{ROUTE_PORT}",
            ),
            tls=Tls(MOUNTED / "server.pem", MOUNTED / "server.key", MOUNTED / "authority.pem"),
            store_key=maker.secret(f"bus/store-{node}"),
        )
        folder = house.of(node)
        give(folder, "authority.pem", maker.authority().certificate)
        give(folder, "server.pem", pair.certificate)
        give(folder, "server.key", pair.key)
        give(folder, "nats-server.conf", text)
        give(house.of("monitor"), f"certificates/{node}.pem", pair.certificate)


def _give_databases(house: House, maker: Maker) -> None:
    authority, pair = maker.authority().certificate, maker.certificate(POSTGRES)
    administrator = maker.secret("databases/administrator")
    for name, text in (
        ("server.pem", pair.certificate),
        ("server.key", pair.key),
        ("administrator.password", administrator),
    ):
        give(house.of(POSTGRES), name, text, is_readable=True)
    give(house.of("monitor"), f"certificates/{POSTGRES}.pem", pair.certificate)
    passwords = {role: maker.secret(f"databases/roles/{role}") for role in all_roles()}
    folder = house.of("databases")
    give(folder, "authority.pem", authority)
    give(folder, "administrator.password", administrator)
    for role, password in passwords.items():
        give(folder, f"roles/{role}", password)

    for database in DATABASES:
        give(house.of(database.service), "database.password", passwords[database.role])
        owner = house.of(f"{database.service}-owner")
        give(owner, "database.password", passwords[database.owner])
        give(owner, "authority.pem", authority)
        give(house.of("backup"), f"{database.service}.password", passwords[database.owner])
    for service, reader in (("console", CONSOLE_READER), ("monitor", MONITOR_READER)):
        give(house.of(service), "audit-database.password", passwords[reader])


def _give_services(house: House, layout: Layout, wanted: Wanted) -> None:
    identities = layout.identities.read_text()
    give(house.all, GIVEN_CONNECTIONS, wanted.connections)
    for name in ("extractor", "differ", "applier", "console"):
        give(house.of(name), "connections.yaml", wanted.connections)
    for name in ("differ", "applier", "console"):
        give(house.of(name), "identities.json", identities)
    give(house.of("differ"), "commitment.key", layout.commitment_key.read_text())
    give(house.of("auditor"), "audit-signing.pem", layout.signing_key.read_text())
    console = house.of("console")
    give(console, "session.key", layout.session_key.read_text())
    accounts = {}
    for person in wanted.people:
        give(console, f"accounts/{person.profile}.password", layout.console_password(person.profile).read_text())
        accounts[person.user] = mounted(f"accounts/{person.profile}.password")
    give(console, "accounts.json", json.dumps(accounts, indent=2))


def _give_people(folder: Path, layout: Layout, maker: Maker, people: Sequence[PersonSpec]) -> None:
    """Everybody's profile, password and key: for the console, which acts as them, and for the command line."""
    _keep_only(folder, people)
    trusted = verifier_key(public_key_bytes(load_private_key(layout.signing_key.read_text())), origin=LOG_ORIGIN)
    for person in people:
        give(folder, f"passwords/{person.user}", maker.secret(f"people/{person.user}"))
        if person.signs:
            give(folder, f"keys/{person.profile}.pem", layout.approval_key(person.profile).read_text())
        profile = Profile(
            nats_url=NATS_URL,
            nats_ca=MOUNTED / "authority.pem",
            user=person.user,
            password=mounted(f"passwords/{person.user}"),
            approval_key=mounted(f"keys/{person.profile}.pem") if person.signs else None,
            verifier_key=trusted,
        )
        save_profile(folder, person.profile, profile)


def _keep_only(folder: Path, people: Sequence[PersonSpec]) -> None:
    """Take away what lies here of anybody else: it would be of no use, and is nobody's any more."""
    known = {name for person in people for name in (person.profile, person.user)}
    for path in (path for name in PEOPLES_FOLDERS for path in (folder / name).glob("*")):
        if path.name.partition(".")[0] not in known:
            path.unlink()
