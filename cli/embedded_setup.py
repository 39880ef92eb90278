"""Makes the data folder of an embedded stack: secrets, identities, connections, profiles.

What is there already is kept: a second start finds the same keys, passwords and log. Secrets are files that only
their owner can read; everything else names them by reference. It starts nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.asking.profiles import Profile, save_profile, write_private
from shared.bus.topology import Role
from shared.hashing.signing import generate, load_private_key, private_key_pem, public_key_b64, public_key_bytes
from shared.policy.approval import Identities, Person

LOG_ORIGIN = "aether.local/audit"
COMMITMENT_KEY_BYTES = 32
TOKEN_BYTES = 24
PASSWORD_BYTES = 12
FOLDER_MODE = 0o700

CONNECTIONS_HINT = """\
# The systems of this district, by the names that connectors use. Secrets are references: env:NAME or file:/path.
#
# connections:
#   hr:
#     system: ocde_hr_sql
#     environment: production
#     settings: {url: "postgresql+psycopg://reader@db.example.org:5432/hr", password: "file:/run/secrets/hr"}
#   aeries:
#     system: aeries_sql
#     environment: production
#     settings: {url: "postgresql+psycopg://reader@db.example.org:5432/aeries", password: "file:/run/secrets/aeries"}
#   titanhst:
#     system: titanhst
#     environment: staging
#     settings: {base_url: "https://api.example.org", token: "file:/run/secrets/read", write_token: "env:TITAN_WRITE"}
connections: {}
"""


CALENDAR_HINT = """\
# The calendar of this district: on which days, and in which hours, nothing runs by schedule. Read anew at every time.
time_zone: America/Los_Angeles

# Days outside of every year, weekends and holidays are no school days, for schedules with `calendar: school_days`.
# school_years:
#   - {name: 2026-27, first_day: 2026-08-12, last_day: 2027-06-03}
# no_school:
#   - {name: Thanksgiving, from: 2026-11-23, to: 2026-11-27}

# When student systems change over to the new year: 1 to 15 July. Others: `none`, or a list of {from, to}.
rollover: july

# Blackout windows beat everything.
# blackouts:
#   - {name: board meeting, from: 2026-12-01T17:00, until: 2026-12-01T21:00}
# weekly_blackouts:
#   - {name: backups, weekdays: [SAT, SUN], from: "01:00", until: "05:00", connectors: [titanhst-staff]}
"""


@dataclass(frozen=True, slots=True)
class PersonSpec:
    """Somebody who may give commands to the embedded stack."""

    profile: str
    user: str
    """The name on the bus; it must differ from the names of services."""
    roles: tuple[Role, ...]

    @property
    def signs(self) -> bool:
        """Whether this person has an approval key."""
        return "approver" in self.roles


PEOPLE = (
    PersonSpec("operator", "operator", ("operator",)),
    PersonSpec("approver", "approver", ("approver",)),
    PersonSpec("approver2", "approver2", ("approver",)),
    PersonSpec("steward", "steward", ("steward",)),
    PersonSpec("auditor", "audit-reader", ("auditor",)),
    PersonSpec("admin", "admin", ("admin",)),
    PersonSpec("viewer", "viewer", ("viewer",)),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one embedded stack lies."""

    data: Path
    is_demo: bool

    @property
    def bus(self) -> Path:
        """The store of the bus."""
        return self.data / "bus"

    @property
    def secrets(self) -> Path:
        """Keys and tokens; the passwords of the bus lie in its own folder."""
        return self.data / "secrets"

    @property
    def logs(self) -> Path:
        """One log a program."""
        return self.data / "logs"

    @property
    def ready(self) -> Path:
        """One file a program that takes work."""
        return self.data / "ready"

    @property
    def identities(self) -> Path:
        """Who may do what."""
        return self.data / "identities.json"

    @property
    def connections(self) -> Path:
        """The connections; those of a demonstration are kept apart from the district's own."""
        return self.data / ("connections.demo.yaml" if self.is_demo else "connections.yaml")

    @property
    def calendar(self) -> Path:
        """On which days and in which hours nothing runs by schedule."""
        return self.data / "calendar.yaml"

    @property
    def district(self) -> Path:
        """The sample district."""
        return self.data / "district"

    @property
    def past(self) -> Path:
        """What the sample district's ledger begins with."""
        return self.district / "past.json"

    @property
    def simulator(self) -> Path:
        """State and journal of the simulated vendor."""
        return self.data / "titanhst"

    def database(self, service: str) -> Path:
        """The database of a service that has one."""
        return self.data / f"{service}.db"

    @property
    def commitment_key(self) -> Path:
        """Master key of the commitments to personal values, 64 hexadecimal digits."""
        return self.secrets / "commitment.key"

    @property
    def session_key(self) -> Path:
        """Key under which the console keeps what signs people in."""
        return self.secrets / "console-session.key"

    @property
    def first_accounts(self) -> Path:
        """Whom the console lets in at first, with references to their passwords."""
        return self.data / "console-accounts.json"

    def console_password(self, profile: str) -> Path:
        """The password with which a person signs in to the console at first."""
        return self.secrets / f"console-{profile}.password"

    @property
    def signing_key(self) -> Path:
        """The auditor's key."""
        return self.secrets / "audit-signing.pem"

    @property
    def read_token(self) -> Path:
        """The simulated vendor's token that may read."""
        return self.secrets / "titanhst-read.token"

    @property
    def write_token(self) -> Path:
        """The simulated vendor's token that may write."""
        return self.secrets / "titanhst-write.token"

    def approval_key(self, profile: str) -> Path:
        """The key with which a person signs decisions."""
        return self.secrets / f"approval-{profile}.pem"


def prepare(layout: Layout, people: Sequence[PersonSpec]) -> None:
    """Make the folders, keys and identities; what exists is kept."""
    layout.data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    layout.data.chmod(FOLDER_MODE)
    for folder in (layout.secrets, layout.logs, layout.ready, layout.data / "profiles"):
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    _once(layout.commitment_key, secrets.token_hex(COMMITMENT_KEY_BYTES))
    _once(layout.signing_key, private_key_pem(generate()))
    _once(layout.session_key, secrets.token_hex(COMMITMENT_KEY_BYTES))
    _once(layout.calendar, CALENDAR_HINT)
    known: dict[str, Person] = {}
    accounts: dict[str, str] = {}
    for person in people:
        key = None
        if person.signs:
            _once(layout.approval_key(person.profile), private_key_pem(generate()))
            key = public_key_b64(load_private_key(layout.approval_key(person.profile).read_text()))
        known[person.user] = Person(roles=person.roles, approval_key=key)
        _once(layout.console_password(person.profile), secrets.token_urlsafe(PASSWORD_BYTES))
        accounts[person.user] = reference(layout.console_password(person.profile))
    write_private(layout.identities, Identities(people=known).model_dump_json(indent=2) + "\n")
    write_private(layout.first_accounts, json.dumps(accounts, indent=2) + "\n")
    if layout.is_demo:
        layout.simulator.mkdir(mode=FOLDER_MODE, exist_ok=True)
        _once(layout.read_token, secrets.token_urlsafe(TOKEN_BYTES))
        _once(layout.write_token, secrets.token_urlsafe(TOKEN_BYTES))
    else:
        _once(layout.connections, CONNECTIONS_HINT)


def write_demo_connections(layout: Layout, *, vendor_url: str) -> None:
    """Connect the sample district's databases and the simulated vendor."""

    def database(name: str) -> dict[str, str]:
        return {"url": f"sqlite:///{layout.district.resolve() / name}"}

    vendor = {
        "base_url": vendor_url,
        "token": reference(layout.read_token),
        "write_token": reference(layout.write_token),
    }
    connections = {
        "hr": {"system": "ocde_hr_sql", "environment": "staging", "settings": database("hr.db")},
        "aeries": {"system": "aeries_sql", "environment": "staging", "settings": database("aeries.db")},
        "titanhst": {"system": "titanhst", "environment": "staging", "settings": vendor},
    }
    # JSON is YAML, and quotes every value.
    text = json.dumps({"connections": connections}, indent=2)
    write_private(layout.connections, f"# Written anew at every start of the demonstration.\n{text}\n")


def write_profiles(layout: Layout, people: Sequence[PersonSpec], *, nats_url: str, passwords: Path) -> None:
    """Write everybody's profile; `passwords` is the folder of the bus's password files, by user."""
    signing_key = load_private_key(layout.signing_key.read_text())
    key = verifier_key(public_key_bytes(signing_key), origin=LOG_ORIGIN)
    for person in people:
        profile = Profile(
            nats_url=nats_url,
            user=person.user,
            password=reference(passwords / person.user),
            approval_key=reference(layout.approval_key(person.profile)) if person.signs else None,
            verifier_key=key,
        )
        save_profile(layout.data, person.profile, profile)


def verifier_key(public: bytes, *, origin: str) -> str:
    """The verifier key of a log as the C2SP format for signed notes spells it: name, id and key.

    Made here from the format and not asked of the auditor: what proves the log must not come from who keeps it.
    """
    typed = b"\x01" + public
    key_id = hashlib.sha256(origin.encode() + b"\n" + typed).digest()[:4]
    return f"{origin}+{key_id.hex()}+{base64.b64encode(typed).decode()}"


def reference(path: Path) -> str:
    """The reference to a secret in a file."""
    return f"file:{path.resolve()}"


def _once(path: Path, text: str) -> None:
    if not path.exists():
        write_private(path, text if text.endswith("\n") else text + "\n")
