"""Writes the NATS server's configuration text from the table: accounts, users, permissions, limits.

It decides no permission (the table does) and starts no server. The text holds passwords: whoever writes it to
disk does so with mode 0600.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shared.bus.topology import (
    FILE_STORE_BYTES_MAX,
    HOUSE_USERS,
    MEMORY_STORE_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    REQUESTS,
    Environment,
    Permissions,
    Role,
    house_account,
    people_account,
    permissions_of_house_user,
    permissions_of_person,
)
from shared.schedule.state import ITSELF

CLIENT_PENDING_BYTES_MAX: Final = 64 * 2**20
"""What the server queues for one slow client before it cuts the connection."""
CONNECTIONS_MAX: Final = 1000
LAME_DUCK_SECONDS: Final = 30
"""The shortest the server accepts: how long connections take to leave before a planned restart."""
LAME_DUCK_GRACE_SECONDS: Final = 5
PASSWORD_CHARACTERS_MIN: Final = 16
STORE_KEY_CHARACTERS_MIN: Final = 32
TLS_HANDSHAKE_SECONDS: Final = 5

ROUTE_USER: Final = "route"
ROUTE_PING_SECONDS: Final = 2
ROUTE_PINGS_MAX: Final = 2
"""Unanswered pings after which a route is dead. Until then every third read is sent into it and lost."""

_TLS_BOUNDS = f'min_version: "1.3", timeout: {TLS_HANDSHAKE_SECONDS}'
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTABLE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class Person:
    """A human, or a program acting for one, with its own user in the people's account."""

    name: str
    roles: frozenset[Role]
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the server listens; port -1 lets the system choose and the ports file tells."""

    host: str = "127.0.0.1"
    port: int = -1
    monitoring_host: str = "127.0.0.1"
    monitoring_port: int = -1


@dataclass(frozen=True, slots=True)
class Cluster:
    """One server's part of a cluster: where it listens for the others, and where it finds them."""

    name: str
    port: int
    routes: tuple[str, ...]
    """`host:port` of each of the others."""
    password: str = field(repr=False)
    """The same on every server: only who knows it may join."""
    host: str = "127.0.0.1"
    advertise: str | None = None
    """`host:port` that the others are told in place of the one it listens on."""


@dataclass(frozen=True, slots=True)
class Tls:
    """With what a server proves who it is to clients and to the other servers, and whom it believes; PEM files.

    The certificate serves both ends of a route, so it must be good for servers and for clients.
    """

    certificate: Path
    key: Path
    authorities: Path


def render_server_config(
    *,
    passwords: Mapping[str, str],
    people: Sequence[Person],
    store_dir: Path,
    environment: Environment,
    ports_dir: Path | None = None,
    listen: Listen = Listen(),
    server_name: str = "aether",
    cluster: Cluster | None = None,
    tls: Tls | None = None,
    store_key: str | None = None,
) -> str:
    """Return the configuration of one server; ValueError names what is missing, too short or not quotable.

    `passwords` has one entry for each user of the services' account, plain or bcrypt. The accounts bear the
    environment's name, so that an address of the one means nothing in the other. The servers of a cluster have names,
    ports and folders of their own and everything else alike. With `tls` nobody gets in without encryption, neither a
    client nor another server. With `store_key` the streams are encrypted on the disk under it; it can be another one
    for each server, and a server that loses it loses its store.
    """
    missing = [user for user in HOUSE_USERS if user not in passwords]
    if missing:
        raise ValueError(f"no password given for the bus users {', '.join(missing)}; give one for each of HOUSE_USERS")
    names = [person.name for person in people]
    taken = sorted({name for name in names if names.count(name) > 1 or name in (*HOUSE_USERS, ITSELF)})
    if taken:
        raise ValueError(f"user names must be unique and not those of services: {', '.join(taken)}")
    house = [_user(user, passwords[user], permissions_of_house_user(user)) for user in HOUSE_USERS]
    outside = [
        _user(person.name, person.password, permissions_of_person(person.name, person.roles)) for person in people
    ]
    house_name, people_name = house_account(environment), people_account(environment)
    exports = [f"{{ service: {_quote(row.subject)}, accounts: [{people_name}] }}" for row in REQUESTS]
    # share: true makes the server itself write who asks into the request, over anything the asker put there.
    imports = [
        f"{{ service: {{ account: {house_name}, subject: {_quote(row.subject)} }}, share: true }}" for row in REQUESTS
    ]
    lines = [
        f"server_name: {_quote(server_name)}",
        f"host: {_quote(listen.host)}",
        f"port: {listen.port}",
        f"http: {_quote(f'{listen.monitoring_host}:{listen.monitoring_port}')}",
        *([f"ports_file_dir: {_quote(str(ports_dir))}"] if ports_dir is not None else []),
        f"max_payload: {MESSAGE_BYTES_MAX}",
        f"max_pending: {CLIENT_PENDING_BYTES_MAX}",
        f"max_connections: {CONNECTIONS_MAX}",
        f'lame_duck_duration: "{LAME_DUCK_SECONDS}s"',
        f'lame_duck_grace_period: "{LAME_DUCK_GRACE_SECONDS}s"',
        "jetstream {",
        f"  store_dir: {_quote(str(store_dir))}",
        f"  max_memory_store: {MEMORY_STORE_BYTES_MAX}",
        f"  max_file_store: {FILE_STORE_BYTES_MAX}",
        *_encryption(store_key),
        "  # An acknowledged message is on the disk; without this it is in a cache for up to two minutes.",
        "  sync_interval: always",
        "}",
        *([] if tls is None else _tls(tls, of_routes=False)),
        *([] if cluster is None else _cluster(cluster, tls)),
        "accounts {",
        f"  {house_name} {{",
        "    jetstream: enabled",
        *_block("users", house),
        *_block("exports", exports),
        "  }",
        f"  {people_name} {{",
        *_block("users", outside),
        *_block("imports", imports),
        "  }",
        "  SYS { users: [] }",
        "}",
        "system_account: SYS",
    ]
    return "\n".join(lines) + "\n"


def _encryption(key: str | None) -> list[str]:
    if key is None:
        return []
    if len(key) < STORE_KEY_CHARACTERS_MIN:
        raise ValueError(
            f"the key of the store has {len(key)} characters, at least {STORE_KEY_CHARACTERS_MIN} are needed"
        )
    return ["  cipher: chachapoly", f"  key: {_quote(key)}"]


def _tls(tls: Tls, *, of_routes: bool) -> list[str]:
    shown = [f"cert_file: {_quote(str(tls.certificate))}", f"key_file: {_quote(str(tls.key))}"]
    if of_routes:  # each end of a route shows a certificate
        shown += [f"ca_file: {_quote(str(tls.authorities))}", "verify: true"]
    else:
        # Encrypted from the first byte: nobody in between can tell a client that this server speaks plainly.
        shown += ["handshake_first: true"]
    indent = "  " if of_routes else ""
    return [f"{indent}tls {{", *(f"{indent}  {row}" for row in (*shown, _TLS_BOUNDS)), f"{indent}}}"]


def _cluster(cluster: Cluster, tls: Tls | None) -> list[str]:
    if len(cluster.password) < PASSWORD_CHARACTERS_MIN or not _URL_SAFE.fullmatch(cluster.password):
        raise ValueError(
            f"the password of the cluster needs at least {PASSWORD_CHARACTERS_MIN} letters, digits, - and _: "
            "it stands in the addresses of the routes"
        )
    routes = [_quote(f"nats-route://{ROUTE_USER}:{cluster.password}@{route}") for route in cluster.routes]
    return [
        "cluster {",
        f"  name: {_quote(cluster.name)}",
        f"  listen: {_quote(f'{cluster.host}:{cluster.port}')}",
        *([f"  cluster_advertise: {_quote(cluster.advertise)}"] if cluster.advertise is not None else []),
        "  # Clients are told all addresses by us; what the servers think of each other's is not reachable everywhere.",
        "  no_advertise: true",
        f"  authorization {{ user: {_quote(ROUTE_USER)}, password: {_quote(cluster.password)} }}",
        f'  ping_interval: "{ROUTE_PING_SECONDS}s"',
        f"  ping_max: {ROUTE_PINGS_MAX}",
        f"  routes: [{', '.join(routes)}]",
        *([] if tls is None else _tls(tls, of_routes=True)),
        "}",
    ]


def _block(name: str, rows: Sequence[str]) -> list[str]:
    return [f"    {name}: [", *(f"      {row}" for row in rows), "    ]"]


def _user(name: str, password: str, permissions: Permissions) -> str:
    if len(password) < PASSWORD_CHARACTERS_MIN:
        raise ValueError(
            f"the password of {name} has {len(password)} characters, at least {PASSWORD_CHARACTERS_MIN} are needed"
        )
    allowed = f"publish: {_only(permissions.publish)}, subscribe: {_only(permissions.subscribe)}"
    if permissions.may_respond:
        # One answer a request, within a minute: enough for every request subject, too little to be a channel.
        allowed += ', allow_responses: { max: 1, expires: "1m" }'
    return f"{{ user: {_quote(name)}, password: {_quote(password)}, permissions: {{ {allowed} }} }}"


def _only(subjects: Sequence[str]) -> str:
    # An empty allow list would mean "everything" to the server.
    if not subjects:
        return '{ deny: [">"] }'
    return f"{{ allow: [{', '.join(_quote(subject) for subject in subjects)}] }}"


def _quote(text: str) -> str:
    if not _QUOTABLE.fullmatch(text):
        raise ValueError("a server setting may hold printable ASCII characters only, and one was empty or held others")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
