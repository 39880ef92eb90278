"""Looks for secrets and for people where neither may stand: in what every house of the suite leaves behind.

The secrets are all that the house holds (tokens, passwords, keys), the people are some of each class of change, and one
whose name is found nowhere else (`plant`). Searched are logs, metrics, streams, databases and what the command line
prints. Streams of records and plans hold people by design; there only secrets are looked for. A hit names the place
and which canary it is, never its text.

`Watching.begin` lets each `Stack` of a test run look when it stops, and each test look at what it printed and logged.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from cli.stack import BUS, SIMULATOR, Stack
from shared.secrets import Secret
from tests.support.without_tls import TRUSTS_NOBODY

SECRET_CHARS_MIN: Final = 12
PEOPLE_PER_CLASS: Final = 2
HITS_SHOWN_MAX: Final = 20
HOLD_PEOPLE: Final = frozenset({"SNAP", "PLAN"})
"""Streams of records and of plans."""
NOT_SEARCHED: Final = ("secrets/", "bus/secrets/", "bus/nats-server.conf", "district/", "titanhst/")
"""Where secrets lie, and the outside in miniature."""
FIRST, LAST = "Zyxoria", "Quetzalcanary"
MAIL: Final = "zyxoria.quetzalcanary@bristlecone-usd.example"
OWN_MAIL: Final = "zyx.quetzal@canary-mail.example"
PHONE: Final = "278-555-0199"
"""No area of that number exists, so nobody else of the sample district has it."""
BORN: Final = "1959-07-23"


@dataclass(frozen=True)
class Canary:
    """One text that may not be found."""

    name: str
    """What it is, for whoever reads of a hit."""
    text: str


@dataclass
class Canaries:
    """What is looked for."""

    secrets: set[Canary] = field(default_factory=set)
    people: set[Canary] = field(default_factory=set)

    def found_in(self, content: bytes, *, has_people: bool = False) -> list[str]:
        """The names of those that stand in a content; people are let pass where they belong (`has_people`)."""
        wanted = self.secrets if has_people else self.secrets | self.people
        return sorted(one.name for one in wanted if one.text.encode() in content)


class CanaryFound(AssertionError):
    """A secret or a person stands where neither may stand."""


# --- which ones -------------------------------------------------------------------------------------------------------


def plant(district: Path) -> None:
    """Let one new employee of a sample district have a name that is found nowhere else; its truth follows."""
    truth = json.loads((district / "truth.json").read_text(encoding="utf-8"))
    with (
        contextlib.closing(sqlite3.connect(district / "hr.db")) as people,
        contextlib.closing(sqlite3.connect(district / "aeries.db")) as aeries,
    ):
        known = {str(row[0]).strip().upper() for row in aeries.execute("SELECT HRID FROM STF")}
        key = next(
            key
            for key in truth["changes"]["create"]
            if key not in known and {"mobile", "email"} <= set(truth["fields"][key]) and _rows(people, key) == 1
        )
        people.execute(
            "UPDATE hr_person SET preferred_first = ?, last = ?, work_email = ?, personal_email = ?, mobile = ?, "
            "birth_date = ? WHERE upper(trim(employee_id)) = ?",
            (FIRST, LAST, MAIL, OWN_MAIL, PHONE, BORN, key),
        )
        people.commit()
    told = {"first_name": FIRST, "last_name": LAST, "email": MAIL, "mobile": f"+1{PHONE.replace('-', '')}"}
    truth["fields"][key] |= {name: [None, value] for name, value in told.items()}
    (district / "truth.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1), encoding="utf-8")


def _rows(people: sqlite3.Connection, key: str) -> int:
    counted: int = people.execute(
        "SELECT count(*) FROM hr_person WHERE upper(trim(employee_id)) = ?", (key,)
    ).fetchone()[0]
    return counted


def secrets_of(data: Path) -> Iterator[Canary]:
    """Every secret of a house, line by line."""
    for folder in (data / "secrets", data / "bus" / "secrets"):
        for file in sorted(folder.glob("*")):
            for line in file.read_text(encoding="utf-8").splitlines():
                if len(line.strip()) >= SECRET_CHARS_MIN and not line.startswith("-----"):
                    yield Canary(f"the secret {folder.name}/{file.name}", line.strip())


def people_of(data: Path) -> Iterator[Canary]:
    """Some people of each class of change of a house's sample district."""
    district = data / "district"
    if not (district / "truth.json").exists() or not (district / "hr.db").exists():
        return
    changes: Mapping[str, list[str]] = json.loads((district / "truth.json").read_text(encoding="utf-8"))["changes"]
    keys = {key for listed in changes.values() for key in listed[:PEOPLE_PER_CLASS]}
    query = "SELECT upper(trim(employee_id)), last, work_email, personal_email, mobile, birth_date FROM hr_person"
    with contextlib.closing(sqlite3.connect(f"file:{district / 'hr.db'}?mode=ro", uri=True)) as people:
        for key, last, *contacts, born in people.execute(query):
            if key in keys or str(last).strip() == LAST:
                yield from _marks_of(f"the person {key}", [str(one) for one in contacts if one], str(born or ""))
            if str(last).strip() == LAST:
                yield from (Canary(f"the name of {key}", name) for name in (FIRST, LAST))


def _marks_of(person: str, contacts: Iterable[str], born: str) -> Iterator[Canary]:
    for contact in contacts:
        for mail in re.findall(r"[\w.+-]{5,}@[\w.-]+\w", contact):
            yield Canary(f"mail of {person}", mail)
            yield Canary(f"mail of {person}", mail.lower())
        if len(digits := re.sub(r"\D", "", contact)[-10:]) == 10 and "@" not in contact:
            yield Canary(f"phone of {person}", digits)
            yield Canary(f"phone of {person}", f"{digits[:3]}-{digits[3:6]}-{digits[6:]}")
    if re.fullmatch(r"19\d\d-\d\d-\d\d", born[:10]):
        yield Canary(f"birthday of {person}", born[:10])


def canaries_of(data: Path) -> Canaries:
    """What may not be found of a house."""
    return Canaries(set(secrets_of(data)), set(people_of(data)))


# --- where ------------------------------------------------------------------------------------------------------------


def hits_in_folder(data: Path, canaries: Canaries) -> list[str]:
    """Every place of a house's folder where one stands."""
    hits = []
    for file in sorted(data.rglob("*")):
        place = file.relative_to(data).as_posix()
        if not file.is_file() or place.startswith(NOT_SEARCHED):
            continue
        parts = file.relative_to(data).parts
        stream = parts[parts.index("streams") + 1] if "streams" in parts[:-1] else None
        found = canaries.found_in(file.read_bytes(), has_people=stream in HOLD_PEOPLE)
        hits += [f"{f'stream {stream}' if stream else place}: {name}" for name in found]
    return sorted(set(hits))


async def metrics_of(stack: Stack) -> dict[str, bytes]:
    """What every program that runs tells of itself."""
    found = {}
    async with httpx.AsyncClient(timeout=5, verify=TRUSTS_NOBODY) as client:
        for name in stack.names():
            if name in (BUS, SIMULATOR) or not (address := stack.admin_url(name)):
                continue
            with contextlib.suppress(httpx.HTTPError):  # it may have been killed by the test
                found[name] = (await client.get(f"{address}/metrics")).content
    return found


def raise_if_any(hits: Iterable[str], *, what: str) -> None:
    """Fail with the places."""
    if listed := list(hits):
        more = f"\n… and {len(listed) - HITS_SHOWN_MAX} more" if len(listed) > HITS_SHOWN_MAX else ""
        raise CanaryFound(f"{what} holds what it may not:\n" + "\n".join(listed[:HITS_SHOWN_MAX]) + more)


# --- in every test ----------------------------------------------------------------------------------------------------


class Watching:
    """Looks on behalf of a whole run of tests."""

    def __init__(self) -> None:
        self.houses = Canaries()
        """Of every house that was started."""
        self.resolved: set[str] = set()
        """Texts of the secrets that the test under way has read in this process."""
        self.searched = 0
        """Houses that were searched."""

    def begin(self, patch: pytest.MonkeyPatch) -> None:
        """Look from now on."""
        watching = self
        start, stop, communicate = Stack.start, Stack.stop, subprocess.Popen.communicate

        async def started(stack: Stack) -> Stack:
            found = await start(stack)
            watching.know(stack.layout.data)
            return found

        async def stopped(stack: Stack) -> None:
            metrics = await metrics_of(stack)
            await stop(stack)
            watching.search(stack.layout.data, metrics)

        def communicated(process: subprocess.Popen[Any], *arguments: Any, **options: Any) -> Any:
            said = communicate(process, *arguments, **options)
            if "cli.main" in (process.args if isinstance(process.args, list | tuple) else ()):
                texts = [each.encode() if isinstance(each, str) else each or b"" for each in said]
                raise_if_any(watching.houses.found_in(b"\n".join(texts)), what="what the command line printed")
            return said

        def made(kind: type[Secret], text: object = "") -> Secret:
            secret = str.__new__(kind, text)
            if len(secret) >= SECRET_CHARS_MIN:
                watching.resolved.add(str(secret))
            return secret

        patch.setattr(Stack, "start", started)
        patch.setattr(Stack, "stop", stopped)
        patch.setattr(subprocess.Popen, "communicate", communicated)
        patch.setattr(Secret, "__new__", made, raising=False)

    def know(self, data: Path) -> Canaries:
        """Remember what may not be found of a house."""
        found = canaries_of(data)
        self.houses.secrets |= found.secrets
        self.houses.people |= found.people
        return found

    def search(self, data: Path, metrics: Mapping[str, bytes]) -> None:
        """Look through what a house has left behind; `CanaryFound` names the places."""
        canaries = self.know(data)
        hits = [f"/metrics of {name}: {hit}" for name, text in metrics.items() for hit in canaries.found_in(text)]
        self.searched += 1
        raise_if_any([*hits, *hits_in_folder(data, canaries)], what="a house of this test")

    def hits_in_report(self, sections: Iterable[tuple[str, str]]) -> list[str]:
        """Where the output and the log of the test that has just run hold one."""
        hits = []
        for title, text in sections:
            hits += [f"{title}: {name}" for name in self.houses.found_in(text.encode())]
            hits += [f"{title}: a secret that was read" for secret in self.resolved if secret in text]
        return sorted(set(hits))
