"""The comparison as the semantics tell it, record by record with plain dictionaries, without partitions or stages.

It judges the columnar one and shares nothing with it but the types of its answers. Slow, and meant to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.differ.comparing import Memory
from shared.contract.model import EntityContract
from shared.hashing.commitment import commit, subject_key
from shared.ports.wire import Value
from tests.unit.plan.plan_builder import ENTITY, FIELDS, MASTER, NOW, TARGET

Row = Mapping[str, Value]
Live = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A change as the semantics tell it."""

    key: str
    target_id: str | None
    change_class: str
    verb: str
    fields: tuple[tuple[str, Value, Value, str], ...]
    """Name, before, after and cause."""


@dataclass
class Answer:
    changes: set[Told] = field(default_factory=set)
    aside: set[tuple[str, str, str]] = field(default_factory=set)
    """Key, class and code."""
    ambiguous: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Question:
    contract: EntityContract
    wanted: Sequence[Row]
    live: Sequence[Row]
    quarantined: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()
    recall: Mapping[str, Memory] = field(default_factory=dict)
    clauses: Mapping[str, str] = field(default_factory=dict)
    protects: Callable[[Row], bool] = lambda row: False
    may_remove: bool = True
    certified_runs: int = 2
    now: datetime = NOW


def answer(asked: Question) -> Answer:
    """What the comparison must bring."""
    told = Answer()
    wanted = {str(row["external_id"]): row for row in asked.wanted}
    live: dict[str, Row] = {str(row["target_id"]): row for row in asked.live}
    contested = sorted(set(wanted) & asked.quarantined)
    kept = {i for i, row in live.items() if row["external_id"] in asked.quarantined}
    # A record that shows a desired key and all its values is that record; nothing is to be done about it.
    equal = {
        i: key
        for i, row in live.items()
        if (key := row["external_id"]) in wanted and i not in kept and not _changed(asked, wanted[str(key)], row)
    }
    looking = sorted(set(wanted) - set(contested) - set(equal.values()))
    free = sorted(set(live) - kept - set(equal))
    owner = {m.target_id: m.key for m in asked.recall.values() if m.target_id is not None}
    spoken_for = {*equal.values(), *asked.quarantined}

    claims: dict[str, set[str]] = {}
    wrong: set[str] = set()
    blocked = {i for i in free if owner.get(i) not in (None, live[i]["external_id"]) and owner[i] in spoken_for}
    for key in looking:
        memory = asked.recall.get(key)
        link = memory.target_id if memory else None
        if link in kept or link in equal:
            wrong.add(key)
        claims[key] = {i for i in free if i == link or live[i]["external_id"] == key}
    wrong |= {key for key in looking if len(claims[key]) > 1 or claims[key] & blocked}
    wrong |= {a for a in looking for b in looking if a != b and claims[a] & claims[b]}
    while True:  # whoever shares a record with one that is wrong is wrong too
        blocked |= {i for key in wrong for i in claims[key]}
        more = {key for key in looking if claims[key] & blocked} - wrong
        if not more:
            break
        wrong |= more
    matched = {key: next(iter(claims[key])) for key in looking if claims[key] and key not in wrong}
    unclear = dict.fromkeys(wrong, "MAT_REUSED_ID")
    unclear_live = dict.fromkeys(blocked, "MAT_REUSED_ID")
    _correlate(asked, looking, free, live, wanted, matched, unclear, unclear_live)

    for key in looking:
        if key in unclear:
            told.ambiguous.append(key)
            created = _class_of_new(asked, {}) if unclear[key] == "MAT_AMBIGUOUS" else "update"
            told.aside.add((key, created, unclear[key]))
        elif key in matched:
            _update(asked, told, key, wanted[key], live[matched[key]])
        else:
            _create(asked, told, key, wanted[key])
    told.ambiguous = sorted([*told.ambiguous, *contested])
    for i in free:
        shown = live[i]["external_id"]
        if i in matched.values() or shown is None or (shown in wanted and str(shown) in unclear):
            continue
        if i in unclear_live:
            if asked.contract.removal.ladder != "preserve" and not _suspended(asked, live[i]):
                told.aside.add((str(shown), _removal(asked), unclear_live[i]))
            continue
        if asked.may_remove:
            told.missed.append(str(shown))
        _remove(asked, told, str(shown), live[i])
    told.missed.sort()
    return told


def _correlate(
    asked: Question,
    looking: list[str],
    free: list[str],
    live: Mapping[str, Row],
    wanted: Mapping[str, Row],
    matched: dict[str, str],
    unclear: dict[str, str],
    unclear_live: dict[str, str],
) -> None:
    seekers = [key for key in looking if key not in matched and key not in unclear]
    candidates = [i for i in free if i not in matched.values()]
    hits: dict[str, set[str]] = {}
    crowded: set[str] = set()
    for name in asked.contract.correlate:
        here = [key for key in seekers if key not in hits and wanted[key][name] not in (None, "")]
        found = {key: {i for i in candidates if live[i][name] == wanted[key][name]} for key in here}
        for key in here:
            if found[key]:
                hits[key] = found[key]
                if len(found[key]) > 1 or any(o != key and wanted[o][name] == wanted[key][name] for o in here):
                    crowded.add(key)
    taken_by = {i: [key for key in hits if i in hits[key]] for i in candidates}
    not_to_give = {i for key in crowded for i in hits[key]} | set(unclear_live)
    not_to_give |= {i for i in candidates if len(taken_by[i]) > 1}
    if not asked.may_remove:
        not_to_give |= {i for i in candidates if live[i]["external_id"] is not None}
    for key, ids in hits.items():
        if key in crowded or ids & not_to_give:
            unclear[key] = "MAT_AMBIGUOUS"
            for i in ids:
                unclear_live.setdefault(i, "MAT_AMBIGUOUS")
        else:
            (matched[key],) = ids


def _changed(asked: Question, wanted: Row, row: Row) -> list[str]:
    alone = str(wanted.get("left alone") or "").split(",")
    return [
        name
        for name in FIELDS
        if asked.contract.fields[name].managed
        and name not in alone
        and wanted[name] != row[name]
        and (wanted[name] is not None or asked.contract.fields[name].clear)
    ]


def _commitment(key: str, value: Value) -> str:
    return commit(subject_key(MASTER, f"{TARGET}/{ENTITY}/{key}"), value)


def _cause(asked: Question, key: str, name: str, after: Value) -> str:
    memory = asked.recall.get(key)
    if memory is None or name not in memory.written:
        return "source_change"
    if memory.written[name] == _commitment(key, after):
        return "drift"
    if name in memory.clauses and name in asked.clauses and memory.clauses[name] != asked.clauses[name]:
        return "contract_change"
    return "source_change"


def _held(asked: Question, key: str, wanted: Row | None) -> bool:
    memory = asked.recall.get(key)
    if memory is None or memory.held_against is None:
        return False
    if wanted is None:
        return memory.held_against == {}
    return memory.held_against != {} and all(
        _commitment(key, wanted[name]) == seen for name, seen in memory.held_against.items()
    )


def _suspended(asked: Question, row: Row) -> bool:
    values = asked.contract.removal.suspended
    return bool(values) and all(row[name] == value for name, value in values.items())


def _privileged(asked: Question, after: Mapping[str, Value]) -> bool:
    return any(value in (asked.contract.fields[name].privileged or ()) for name, value in after.items())


def _class_of_new(asked: Question, after: Mapping[str, Value]) -> str:
    if _privileged(asked, after):
        return "privilege_gain"
    return "create" if asked.contract.membership is None else "member_add"


def _removal(asked: Question) -> str:
    return "suspend" if asked.contract.membership is None else "member_remove"


def _class_of_change(asked: Question, row: Row, after: Mapping[str, Value]) -> str:
    fields = asked.contract.fields
    if _privileged(asked, after):
        return "privilege_gain"
    if any(fields[name].is_role and row[name] is not None for name in after):
        return "role_change"
    if any((fields[name].is_rename or name == "external_id") and row[name] is not None for name in after):
        return "rename"
    if any(value is None for value in after.values()):
        return "null_out"
    return "reactivate" if _suspended(asked, row) and "active" in after else "update"


def _update(asked: Question, told: Answer, key: str, wanted: Row, row: Row) -> None:
    changed = _changed(asked, wanted, row)
    if not changed:
        return
    after = {name: wanted[name] for name in changed}
    if asked.protects(row) or asked.protects({**row, "external_id": key}):
        told.aside.add((key, _class_of_change(asked, row, after), "DIF_PROTECTED"))
        return
    if _held(asked, key, wanted):
        told.aside.add((key, _class_of_change(asked, row, after), "DIF_HELD"))
        return
    stays = {name: after.pop(name) for name in changed if asked.contract.fields[name].protected}
    if stays:
        told.aside.add((key, _class_of_change(asked, row, stays), "DIF_FIELD_PROTECTED"))
    if after:
        told.changes.add(
            Told(
                key,
                str(row["target_id"]),
                _class_of_change(asked, row, after),
                "reactivate" if _suspended(asked, row) and "active" in after else "update",
                tuple((name, row[name], value, _cause(asked, key, name, value)) for name, value in after.items()),
            )
        )


def _create(asked: Question, told: Answer, key: str, wanted: Row) -> None:
    after = {name: wanted[name] for name in FIELDS if wanted[name] is not None}
    name = _class_of_new(asked, after)
    if asked.protects({"target_id": None, **wanted}):
        told.aside.add((key, name, "DIF_PROTECTED"))
    elif _held(asked, key, wanted):
        told.aside.add((key, name, "DIF_HELD"))
    else:
        fields = tuple((one, None, value, _cause(asked, key, one, value)) for one, value in after.items())
        told.changes.add(Told(key, None, name, "create", fields))


def _remove(asked: Question, told: Answer, key: str, row: Row) -> None:
    removal = asked.contract.removal
    memory = asked.recall.get(key) or Memory(key)
    if removal.ladder == "preserve":
        return
    name, cause = _removal(asked), "scope_change" if key in asked.outside else "source_change"
    fields: dict[str, Value] = {"active": False}
    if asked.contract.membership is None and _suspended(asked, row):
        since = memory.suspended_since
        if removal.ladder != "delete" or since is None:
            return
        if asked.now - since < timedelta(days=removal.delete_after_days):
            return
        name, fields, cause = "delete", {"external_id": None}, "expiry"
    elif asked.contract.membership is not None:
        emptied = (asked.contract.membership.group, asked.contract.membership.member)
        fields = {one: None for one in FIELDS if one in emptied}
    fresh = memory.last_strike_at is None or asked.now - memory.last_strike_at >= timedelta(hours=removal.strike_hours)
    code = None
    if asked.protects(row):
        code = "DIF_PROTECTED"
    elif _held(asked, key, None):
        code = "DIF_HELD"
    elif name == "suspend" and asked.contract.fields["active"].protected:
        code = "DIF_FIELD_PROTECTED"
    elif not asked.may_remove:
        code = "DIF_NOT_CERTIFIED"
    elif asked.certified_runs < 2:
        code = "DIF_ONBOARDING"
    elif memory.strikes + (1 if fresh else 0) < removal.strikes:
        code = "DIF_FIRST_MISS"
    if code is not None:
        told.aside.add((key, name, code))
        return
    verb = "suspend" if name == "suspend" else "delete"
    made = tuple((one, row[one], value, cause) for one, value in fields.items())
    told.changes.add(Told(key, str(row["target_id"]), name, verb, made))
