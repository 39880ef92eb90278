"""Poisoned definitions: connectors, tables, protected records, connections, people and policies as nobody should write.

Each must be loaded, or be refused with the error of its kind that names the file and, for YAML and tables, line and
column. Files are written into a folder that is handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, Final

from ruamel.yaml import YAML

from shared.contract import worked_example
from shared.contract.loading import load_connector
from shared.contract.problems import ContractInvalid
from shared.errors import NeedsPerson
from shared.policy.identities import load_identities
from shared.policy.policy_document import policy_from_document
from shared.ports.connections import load_connections
from tests.poison.mutations import CANARY, DEPTHS, WILD, places_of, with_part, without_part
from tests.poison.tally import Tally

CLASS: Final = "definition"
PLACED: Final = re.compile(r"[^\n]*:([0-9]+):([0-9]+): \S")
"""How a problem begins: `file:line:column: what`."""
SMALL: Final = """\
schema_version: 1
name: small
version: 1.0.0
title: Small
lifecycle: draft
target: {system: shop, connection: shop}
sources:
  person: {system: hr, connection: hr, entity: people}
entities:
  users:
    from: {source: person, where: [{column: left_on, is_blank: true}]}
    scope: [{column: person.kind, in: [staff, "1"]}]
    key: id
    correlate: [mail]
    fields:
      id: {from: [person.id], required: true, pii: identifier}
      mail: {from: [person.mail], steps: [lower], format: email}
      role: {from: [person.code], map: roles, unmapped: reject, drift: freeze}
      on: {constant: true, format: boolean}
    removal: {ladder: suspend, suspended: {on: false}}
guard: {suspend: {count: 40, percent: 2.5}}
"""
ROLES: Final = "code,role\nA1,TEACHER\nB2,OFFICE\nC3,NURSE\n"
PROTECTED: Final = """\
users:
  - {key: E1, reason: Administrator}
  - {where: [{column: mail, matches: "breakglass.*"}], reason: Emergencies}
"""
CONNECTIONS: Final = """\
connections:
  hr: {system: ocde_hr_sql, environment: production, settings: {url: "env:HR_URL", timeout_seconds: 30}}
  alerts:
    system: titanhst
    environment: staging
    rate_per_second: 5
    settings: {base_url: https://alerts.example.org, token: env:READ}
"""
POLICY: Final = """\
schema_version: 1
limits:
  suspend: {count: 40, percent: 2.5, floor: 5}
  rename: {count: 5}
cohort_records_min: 20
"""
PEOPLE: Final = json.dumps(
    {"people": {"anna": {"roles": ["approver"], "approval_key": "MCowBQYDK2VwAyEA" + "A" * 43 + "="}}}
)
YAML_WORDS: Final = (
    "!!int abc", "!!float x", "!!bool maybe", "!!binary zz", "!!set {a}", "!!omap [a: b]",
    "!!python/object:os.system x",
    "!mine x", "!!str [x]", "!!map x", "!!seq {}", "2026-99-99", "2026-01-01T99:00:00+99:99", "9" * 5_000, "0x", ".nan",
    ".inf", "1e99999", "*nowhere", "&a [*a]", '"\\ud800"', '"\\xZZ"', "\t", "\x00", "|", ">-", "? [a]", "{[a]: b}",
    "<<", "{<<: {a: b}}", "[", "}", "- a", ":", "%", "@", "`", "''", "~", "yes", "0o17", "1_000", "1:30", "\u2028",
    f"[{CANARY}]", "null", "''''", '"', "#", "---", "...",
)  # fmt: skip
"""Values that a YAML file may hold and that mean something else, or nothing."""

TextSpoiler = Callable[[Random, str], bytes]


def _positions(text: str) -> list[tuple[int, int]]:
    """Where the plain words of a text stand."""
    return [match.span() for match in re.finditer(r"[A-Za-z0-9_.:/-]+", text)]


def word_replaced(rng: Random, text: str) -> bytes:
    """A word is a YAML word that means something else."""
    start, end = rng.choice(_positions(text))
    return (text[:start] + rng.choice(YAML_WORDS) + text[end:]).encode()


def word_wild(rng: Random, text: str) -> bytes:
    """A word is no name."""
    start, end = rng.choice(_positions(text))
    return (text[:start] + rng.choice(WILD) + text[end:]).encode()


def aliased(rng: Random, text: str) -> bytes:
    """A bomb: each name stands for ten of the one before; or a document that holds itself."""
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, rng.randint(2, 12))]
    return rng.choice(
        ["\n".join(bomb) + "\n" + text, f"{text}\n" + "\n".join(bomb), "&r {a: *r}", "&r\n" + text]
    ).encode()


def line_repeated(rng: Random, text: str) -> bytes:
    """A line stands twice."""
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    return "".join([*lines[: at + 1], *lines[at:]]).encode()


def line_missing(rng: Random, text: str) -> bytes:
    """A line is missing."""
    lines = text.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return "".join(lines).encode()


def line_moved(rng: Random, text: str) -> bytes:
    """A line is indented otherwise, or by a tab."""
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    lines[at] = rng.choice([" ", "   ", "\t", "- ", "? ", "      "]) + lines[at].lstrip()
    return "".join(lines).encode()


def nested(rng: Random, text: str) -> bytes:
    """A word is a list in a list in a list…"""
    start, end = rng.choice(_positions(text))
    depth = rng.choice(DEPTHS[:3])
    return (text[:start] + "[" * depth + "]" * rng.choice([0, depth]) + text[end:]).encode()


def no_text(rng: Random, text: str) -> bytes:
    """Bytes that are no text, or text of another encoding."""
    return rng.choice(
        [
            b"", b"\xff\xfe" + text.encode("utf-16-le"), rng.randbytes(300), b"\x89PNG\r\n\x1a\n" + rng.randbytes(90),
            text.encode()[:20] + b"\xff" + text.encode()[20:], text.encode() + b"\x00", b"\xef\xbb\xbf" + text.encode(),
            text.replace("\n", "\r").encode(), text.replace("\n", "\x0b").encode(), b"PK\x03\x04" + rng.randbytes(50),
            f"<html>{CANARY}</html>".encode(), b"%PDF-1.7", b"-", b"#", b"null", b"[]", b"0", b"---\n---\n",
        ]
    )  # fmt: skip


def gigantic(rng: Random, text: str) -> bytes:
    """One word is megabytes long, or many lines are."""
    start, end = rng.choice(_positions(text))
    size = rng.choice([3_000, 3_000, 140_000, 270_000])
    return (text[:start] + "x" * size + text[end:]).encode()


def characters_lost(rng: Random, text: str) -> bytes:
    """Some characters are missing or others."""
    signs = list(text)
    for _ in range(rng.randint(1, 6)):
        signs[rng.randrange(len(signs))] = rng.choice(
            ["", "", '"', "'", "{", "}", "[", "]", ":", ",", "\n", "&", "*", "!"]
        )
    return "".join(signs).encode()


def clause_changed(rng: Random, text: str) -> bytes:
    """One clause, anywhere in the document, has a value of another type, or is missing."""
    document = json.loads(text) if text.startswith("{") else _plain(text)
    place = rng.choice(places_of(document))
    if rng.random() < 0.2:
        return json.dumps(without_part(document, place)).encode()
    value: Any = rng.choice(
        [None, True, -1, 7, 1e308, 2**70, "", "x", " ", CANARY, "a.b", [], [None], ["x"] * 30, {}, {"x": 1}, [[]], [{}]]
    )
    return json.dumps(with_part(document, place, value)).encode()


def cells_changed(rng: Random, text: str) -> bytes:
    """A table whose cells, quotes or lines are not as agreed."""
    rows = [line.split(",") for line in text.splitlines()]
    row = rng.choice(rows)
    cell = rng.choice(
        ["", " ", '"', '"a', 'a"b', '"a\nb"', "\x00", "x" * 140_000, "é" * 10, "A1", "code", "=1+1", "a,b"]
    )
    match rng.randrange(4):
        case 0:
            row.append(cell)
        case 1:
            row.pop()
        case 2:
            row[rng.randrange(len(row))] = cell
        case _:
            rows.extend([[cell, "TEACHER"]] * rng.choice([1, 2, 300]))
    return rng.choice(["\n", "\r\n", "\r"]).join(",".join(row) for row in rows).encode()


def _plain(text: str) -> Any:
    """A YAML text as plain values."""
    return YAML(typ="safe", pure=True).load(StringIO(text))


_YAML_WAYS: Final = (
    word_replaced, word_wild, aliased, line_repeated, line_missing, line_moved, nested, no_text, gigantic,
    characters_lost, clause_changed, clause_changed, clause_changed,
)  # fmt: skip
_JSON_WAYS: Final = (no_text, nested, gigantic, characters_lost, clause_changed, clause_changed)
_TABLE_WAYS: Final = (cells_changed, cells_changed, no_text, line_repeated, line_missing, characters_lost, gigantic)


class Definitions:
    """Poisons definitions, one after the other, in a folder of its own."""

    def __init__(self, folder: Path, tally: Tally, rng: Random) -> None:
        self._folder, self._tally, self._rng = folder, tally, rng
        self._small = {"connector.yaml": SMALL, "tables/roles.csv": ROLES, "protected.yaml": PROTECTED}
        for name, files in (("small", self._small), (worked_example.NAME, worked_example.FILES)):
            for file, text in files.items():
                (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / name / file).write_text(text, encoding="utf-8")
        load_connector(folder / "small")  # what is spoilt must have been sound
        self._kinds: Mapping[str, Callable[[], None]] = {
            "connector": self._connector,
            "example": self._worked_connector,
            "table": self._table,
            "protected": self._protected,
            "connections": self._connections,
            "policy": self._policy,
            "people": self._people,
        }

    def one(self) -> None:
        """Poison one definition of some kind."""
        kind = self._rng.choices(list(self._kinds), weights=[40, 3, 17, 12, 14, 8, 6])[0]
        self._kinds[kind]()

    def _connector(self) -> None:
        self._spoil("connector", "small", "connector.yaml", SMALL, _YAML_WAYS)

    def _worked_connector(self) -> None:
        text = worked_example.FILES["connector.yaml"]
        self._spoil("connector", worked_example.NAME, "connector.yaml", text, (clause_changed,))

    def _table(self) -> None:
        self._spoil("table", "small", "tables/roles.csv", ROLES, _TABLE_WAYS)

    def _protected(self) -> None:
        self._spoil("protected", "small", "protected.yaml", PROTECTED, _YAML_WAYS)

    def _spoil(self, kind: str, name: str, file: str, text: str, ways: tuple[TextSpoiler, ...]) -> None:
        way = self._rng.choice(ways)
        path = self._folder / name / file
        path.write_bytes(way(self._rng, text))
        try:
            self._try(kind, way.__name__, lambda: load_connector(self._folder / name))
        finally:
            path.write_text(text, encoding="utf-8")

    def _connections(self) -> None:
        way = self._rng.choice(_YAML_WAYS)
        path = self._folder / "connections.yaml"
        path.write_bytes(way(self._rng, CONNECTIONS))
        self._try("connections", way.__name__, lambda: load_connections(path))

    def _policy(self) -> None:
        way = self._rng.choice(_YAML_WAYS)
        text = way(self._rng, POLICY).decode("utf-8", errors="surrogateescape")
        self._try("policy", way.__name__, lambda: policy_from_document(text, file="policy.yaml"))

    def _people(self) -> None:
        way = self._rng.choice(_JSON_WAYS)
        path = self._folder / "identities.json"
        path.write_bytes(way(self._rng, PEOPLE))
        self._try("people", way.__name__, lambda: load_identities(path))

    def _try(self, kind: str, way: str, load: Callable[[], object]) -> None:
        with self._tally.timed(CLASS, way):
            try:
                load()
            except NeedsPerson as error:
                self._refused(kind, way, error)
            except Exception as error:  # noqa: BLE001 -- any other exception is what this looks for
                self._tally.crash(CLASS, way, error)
            else:
                self._tally.add(CLASS, way, f"{kind} accepted")

    def _refused(self, kind: str, way: str, error: NeedsPerson) -> None:
        self._tally.add(CLASS, way, f"{kind} refused {error.code}")
        problems = [str(problem) for problem in getattr(error, "problems", ())]
        if isinstance(error, ContractInvalid) and not problems:
            self._tally.violation(CLASS, way, f"{error.code} names no problem")
        if kind == "policy":
            problems = error.message.splitlines()[1:2]
        for problem in problems:
            if PLACED.match(problem) is None:
                self._tally.violation(CLASS, way, f"no place in: {problem!r}")
        if kind == "people":
            self._tally.check_secrecy(CLASS, way, error.message)
