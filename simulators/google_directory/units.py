"""Organisational units (rules O)."""

from dataclasses import replace
from typing import Any

from simulators.google_directory.asking import Ask, Result, check_customer, done
from simulators.google_directory.directory import Directory, path_below
from simulators.google_directory.errors import Refused, not_found
from simulators.google_directory.records import Unit
from simulators.google_directory.views import unit_document

DEPTH_MAX = 35
NAME_LENGTH_MAX = 256


def listed_ids(ask: Ask) -> list[str]:
    """List the ids that a list call asks for, by path; a list of units has no pages (O1)."""
    directory = ask.directory
    check_customer(directory, ask.keys["customerId"])
    wanted = ask.query.get("orgUnitPath", "") or "/"
    top = directory.find_unit(wanted if wanted.startswith(("/", "id:")) else f"/{wanted}")
    if top is None:
        raise not_found("orgUnitPath")
    kind = ask.query.get("type", "children")
    if kind == "children":
        found = [directory.units[unit_id] for unit_id in directory.units_below[top.id]]
    else:
        found = _all_below(directory, top)
        found += [top] if kind == "allIncludingParent" else []
    return [unit.id for unit in sorted(found, key=lambda unit: unit.path.lower())]


def listed(ask: Ask, unit_id: str) -> dict[str, Any] | None:
    """Show one unit of a list."""
    unit = ask.directory.units.get(unit_id)
    return unit_document(unit, ask.directory) if unit is not None else None


def answer(ask: Ask) -> Result:
    """Answer every orgunits call but the list."""
    directory = ask.directory
    check_customer(directory, ask.keys["customerId"])
    if ask.verb == "insert":
        return _insert(ask)
    unit = _unit_of(ask)
    match ask.verb:
        case "get":
            return Result(document=unit_document(unit, directory))
        case "delete":
            if unit.parent_id is None or directory.units_below[unit.id] or directory.users_in_unit[unit.id]:
                raise Refused("conditionNotMet", "Org unit is not empty.")
            if not ask.pretend:
                directory.delete_unit(unit)
            return done(ask, "deleted", unit.id, unit.path)
        case _:
            return _update(ask, unit)


def check_place(directory: Directory, unit: Unit, *, duplicate: str = "duplicate") -> None:
    """Refuse a name or a place that a unit cannot have (O3, O4)."""
    if not unit.name or "/" in unit.name or len(unit.name) > NAME_LENGTH_MAX:
        raise Refused("invalid", "Invalid Input: name", rule="O3")
    if unit.path.count("/") > DEPTH_MAX:
        raise Refused("invalid", f"Invalid Input: the hierarchy is limited to {DEPTH_MAX} levels", rule="O3")
    taken = directory.find_unit(unit.path)
    if taken is not None and taken.id != unit.id:
        if duplicate == "duplicate":
            raise Refused("duplicate", "Entity already exists.")
        raise Refused("invalid", "Invalid Ou Id")


def _insert(ask: Ask) -> Result:
    directory, body = ask.directory, ask.body
    if not body.get("name") or not (body.get("parentOrgUnitPath") or body.get("parentOrgUnitId")):
        raise Refused("required", "Missing required field: name and parentOrgUnitPath or parentOrgUnitId", rule="O2")
    parent = _parent(ask)
    unit = Unit(
        id=f"id:sim{directory.next_number:08d}",
        name=body["name"],
        parent_id=parent.id,
        path=path_below(parent, body["name"]),
        description=body.get("description") or "",
    )
    check_place(directory, unit, duplicate=ask.switches.orgunit_duplicate)
    document = unit_document(unit, directory)
    if not ask.pretend:
        directory.new_number()
        directory.put_unit(unit)
    code = ask.switches.orgunit_write_code
    return done(ask, "created", unit.id, unit.path, document=document, code=code)


def _update(ask: Ask, unit: Unit) -> Result:
    directory, body = ask.directory, ask.body
    code = ask.switches.orgunit_write_code
    parent = directory.units[unit.parent_id] if unit.parent_id is not None else None
    if body.get("parentOrgUnitPath") or body.get("parentOrgUnitId"):
        parent = _parent(ask)
        if parent.id == unit.id or parent in _all_below(directory, unit):
            raise Refused("invalid", "Invalid Parent Orgunit Id", rule="O5")
    if parent is None:
        raise Refused("invalid", "Invalid Ou Id", rule="O5")
    name = body.get("name") or unit.name
    description = (body["description"] or "") if "description" in body else unit.description
    path = path_below(parent, name)
    after = replace(unit, name=name, parent_id=parent.id, path=path, description=description)
    check_place(directory, after, duplicate=ask.switches.orgunit_duplicate)
    deepest = max((below.path.count("/") for below in _all_below(directory, unit)), default=unit.path.count("/"))
    if deepest - unit.path.count("/") + path.count("/") > DEPTH_MAX:
        raise Refused("invalid", f"Invalid Input: the hierarchy is limited to {DEPTH_MAX} levels", rule="O3")
    changed = [name for name in ("name", "parent_id", "description") if getattr(after, name) != getattr(unit, name)]
    if not changed:
        document = unit_document(unit, directory)
        return done(ask, "unchanged", unit.id, unit.path, document=document, code=code)
    after = replace(after, version=unit.version + 1)
    if not ask.pretend:
        directory.put_unit(after)
    document = unit_document(after, directory)
    return done(ask, "updated", unit.id, after.path, document=document, code=code, changed=changed)


def _unit_of(ask: Ask) -> Unit:
    path = ask.keys["orgUnitPath"]
    if path.startswith("/") and path != "/":
        raise Refused("invalid", "Invalid Ou Id", rule="O6")
    if path.startswith("id:") or path == "/":
        unit = ask.directory.find_unit(path)
    else:
        unit = ask.directory.find_unit(f"/{path}")
    if unit is None:
        raise Refused("notFound", "Org unit not found")
    return unit


def _parent(ask: Ask) -> Unit:
    by_id, by_path = ask.body.get("parentOrgUnitId"), ask.body.get("parentOrgUnitPath")
    parent = ask.directory.find_unit(str(by_id or by_path))
    if parent is None:
        raise Refused("invalid", "Invalid Parent Orgunit Id")
    return parent


def _all_below(directory: Directory, unit: Unit) -> list[Unit]:
    found: list[Unit] = []
    waiting = [unit.id]
    while waiting:  # bounded: each unit has one parent
        for unit_id in directory.units_below[waiting.pop()]:
            found.append(directory.units[unit_id])
            waiting.append(unit_id)
    return found
