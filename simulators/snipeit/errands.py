"""One request on its way through the simulated vendor, and the shapes in which the vendor answers.

The vendor says most of its refusals with status 200: `Refused` carries either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simulators.kit.gateway import Answer, Call
from simulators.snipeit.access import Rights, Token
from simulators.snipeit.columns import CUSTOM_PREFIX, Column
from simulators.snipeit.store import Row, Store
from simulators.snipeit.switches import SnipeSwitches
from simulators.snipeit.values import coerced

_CUSTOM = Column()
KEYS = {"users": ("employee_num", "username"), "hardware": ("asset_tag",)}
"""The columns by which a caller knows a row, best first; other tables go by name."""


class Refused(Exception):
    """The vendor says no; with status 200 where its API does."""

    def __init__(self, messages: object, *, status: int = 200, payload: object = None) -> None:
        super().__init__(str(messages))
        self.messages = messages
        self.status = status
        self.payload = payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A request that was let in, with all it may touch."""

    call: Call
    token: Token
    store: Store
    switches: SnipeSwitches
    now: str
    """The time as the vendor writes it."""
    body: Mapping[str, Any]
    pretend: bool
    breach: Callable[[str, str], None]
    """Records that the request broke a documented rule: the rule's number, and a text without personal values."""

    @property
    def can_write(self) -> bool:
        """Whether the token may change anything."""
        return self.token.rights is not Rights.READ

    def has(self, *names: str) -> bool:
        """Whether the body holds one of these fields, be it null."""
        return any(name in self.body for name in names)

    def filled(self, name: str) -> bool:
        """Whether the body holds a field that is not empty."""
        return self.body.get(name) not in {None, ""} if not isinstance(self.body.get(name), list | dict) else True

    def find(self, name: str, row_id: str) -> Row:
        """An undeleted row by what stands in the path."""
        row = self.store[name].get_live(int(row_id)) if _is_id(row_id) else None
        return row if row is not None else self.missing(name)

    def find_any(self, name: str, row_id: str) -> Row:
        """A row by what stands in the path, deleted or not."""
        row = self.store[name].get(int(row_id)) if _is_id(row_id) else None
        return row if row is not None else self.missing(name)

    def missing(self, name: str) -> Row:
        """Refuse as the vendor does what it cannot find."""
        thing = self.store[name].rules.thing
        raise Refused(f"{thing} not found" if name in {"hardware", "users"} else f"{thing} does not exist.")

    def put(self, name: str, row: Row) -> None:
        """Write a row, unless it is all pretended."""
        if not self.pretend:
            self.store.put(name, row)

    def written(
        self, name: str, before: Row, after: Row, *, message: str, payload: object, more: tuple[str, ...] = ()
    ) -> Answer:
        """Keep a changed row and say so; `more` are changes that the row itself does not show."""
        changed = [*changed_columns(before, after), *more]
        if changed and after is not before:
            self.put(name, after)
        if self.pretend:
            effect = "none"
        elif changed:
            effect = f"updated {after['id']} [{', '.join(changed)}]"
        else:
            effect = f"unchanged {after['id']}"
        return success(message, payload, effect=effect, name=name, row=after)


def changed_columns(before: Row, after: Row) -> list[str]:
    """The columns whose values differ, but for the time of the change."""
    names = [*before, *(name for name in after if name not in before)]
    return [name for name in names if name != "updated_at" and before.get(name) != after.get(name)]


def checked(errand: Errand, name: str, *, required: tuple[str, ...], aside: frozenset[str] = frozenset()) -> Row:
    """What a body sets, as a row holds it; all that is wrong with it is refused in one envelope, with status 200.

    `aside` are fields that the caller of this function reads itself. Fields that nobody reads are recorded: the vendor
    ignores them without a word.
    """
    store, rules = errand.store, errand.store[name].rules
    values: Row = {}
    errors: dict[str, list[str]] = {}
    for field, value in errand.body.items():
        column = rules.writable(field, is_newer=errand.switches.is_newer)
        if name == "hardware" and field.startswith(CUSTOM_PREFIX):
            column = _CUSTOM
        if column is None:
            if field not in aside:
                errand.breach("W3", f"{field[:60]} is no field that can be written here; it was ignored")
            continue
        try:
            values[field] = coerced(field, value, column=column, has_row=store.has_live)
        except ValueError as error:
            errors[field] = [str(error)]
            continue
        least = rules.length_min.get(field, 0)
        if values[field] is not None and len(str(values[field])) < least:
            errors[field] = [f"The {field.replace('_', ' ')} must be at least {least} characters."]
    for field in rules.required:
        is_cleared = field in values and values[field] is None
        if field not in errors and (is_cleared or (field in required and field not in values)):
            errors[field] = [f"The {field.replace('_', ' ')} field is required."]
    if errors:
        raise Refused(errors)
    return values


def refuse_taken(errand: Errand, name: str, row: Row) -> None:
    """Refuse a row whose value must be unique and is not."""
    taken = errand.store[name].taken(row)
    if taken is not None:
        raise Refused({taken: [f"The {taken.replace('_', ' ')} must be unique."]})


def new_row(errand: Errand, name: str, values: Mapping[str, Any]) -> Row:
    """A whole row from what a create sets."""
    table = errand.store[name]
    defaults = {column: rule.default for column, rule in table.rules.columns.items()}
    stamps = {"created_at": errand.now, "updated_at": errand.now}
    return defaults | stamps | dict(values) | {"id": table.next_id()}


def changed_row(errand: Errand, before: Row, values: Mapping[str, Any]) -> Row:
    """A row after a change; the very same row where nothing differs."""
    after = before | dict(values)
    return after | {"updated_at": errand.now} if changed_columns(before, after) else before


def created(errand: Errand, name: str, row: Row, *, message: str, payload: object) -> Answer:
    """Say that a row is new."""
    return success(message, payload, effect="none" if errand.pretend else f"created {row['id']}", name=name, row=row)


def document(body: object, *, status: int = 200) -> Answer:
    """Answer with a document as it is."""
    return Answer(status=status, body=_encoded(body))


def success(message: object, payload: object, *, effect: str, name: str, row: Row) -> Answer:
    """The envelope of a write that succeeded."""
    return Answer(
        status=200,
        body=_encoded({"status": "success", "messages": message, "payload": payload}),
        effect=effect,
        external_id=key_of(name, row),
        record_id=str(row["id"]),
    )


def error(messages: object, *, status: int = 200, payload: object = None) -> Answer:
    """The envelope of a refusal, which mostly comes with status 200."""
    return document({"status": "error", "messages": messages, "payload": payload}, status=status)


def key_of(name: str, row: Row) -> str | None:
    """What the caller knows a row by."""
    return next((str(row[column]) for column in KEYS.get(name, ("name",)) if row.get(column) is not None), None)


def _encoded(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
