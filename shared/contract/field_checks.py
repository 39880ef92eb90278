"""Whether what the fields of a contract say can be meant: constants, tables, lookups, dates and privileged values.

Pure. A value that is written out in the definition or in a table must have the form that the field asks for; otherwise
it would quarantine every record that takes it, or mark a privilege that no record can have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from shared.contract.columnar import date_shape, formatted_text, stepped_texts
from shared.contract.field import DefaultValue, FieldContract
from shared.contract.known import Known, among
from shared.contract.model import EntityContract
from shared.contract.parts import transforms_named
from shared.contract.positions import Path
from shared.contract.problems import Problem
from shared.contract.tables import MappingTable


def field_problems(known: Known, contract: EntityContract, path: Path) -> Iterator[Problem]:
    """Everything that is wrong with the clauses of the fields apart from the columns they name."""
    for name, field in contract.fields.items():
        place = (*path, "fields", name)
        yield from _constants(known, field, place)
        yield from _dates(known, field, place)
        yield from _table(known, name, field)
        yield from _lookup(known, field, (*place, "lookup"))
        yield from _privileged(known, field, (*place, "privileged"))


def form_fault(value: str, field: FieldContract) -> str | None:
    """What is wrong with a finished value of the field, for the end of a sentence; None when nothing is."""
    if field.format == "enum":
        allowed = field.values or ()
        return None if value in allowed else f"is none of the values {', '.join(allowed)}"
    return None if formatted_text(value, field.format) == value else f"has not the form {field.format}"


def _constants(known: Known, field: FieldContract, path: Path) -> Iterator[Problem]:
    written: list[tuple[Path, bool | str | None]] = [(("constant",), field.constant)]
    if isinstance(field.unmapped, DefaultValue):
        written.append((("unmapped", "default"), field.unmapped.default))
    if not field.steps and field.map is None and field.lookup is None:
        written += [
            (("cases", number, "constant"), case.constant)
            for number, case in enumerate(field.cases or ())
            if field.format != "boolean"
        ]
    for at, value in written:
        if not isinstance(value, str):
            continue
        if field.format == "boolean":
            fault = None if formatted_text(value, "boolean") is not None else "has not the form boolean"
        else:
            fault = form_fault(value, field)
        if fault is not None:
            what = "default" if at[-1] == "default" else "constant"
            yield known.problem((*path, *at), f"the {what} {fault}", "write the finished value")


def _dates(known: Known, field: FieldContract, path: Path) -> Iterator[Problem]:
    for place, written in enumerate(field.date_formats):
        try:
            date_shape(written)
        except ValueError as error:
            yield known.problem((*path, "date_formats", place), str(error), "write it as strftime would")


def _table(known: Known, name: str, field: FieldContract) -> Iterator[Problem]:
    """Ids that become the same with different codes, and codes that the field cannot hold."""
    table = None if field.map is None else known.tables.get(field.map)
    if table is None or any(known.transforms.get(each) is None for _, each in transforms_named(field.steps)):
        return
    file = f"{known.located.file.partition('/')[0]}/tables/{table.name}.csv"
    first: dict[str, str] = {}
    ids = list(table.entries)
    for raw_id, same in zip(ids, stepped_texts(ids, field.steps, known.usable_transforms), strict=True):
        if same is None:
            text = f"after the steps of field {name}, id {raw_id!r} is no value"
            yield Problem(file, table.lines[raw_id], 1, text, "remove the line or correct the steps")
            continue
        earlier = first.setdefault(same, raw_id)
        if table.entries[earlier] != table.entries[raw_id]:
            text = (
                f"after the steps of field {name}, ids {earlier!r} (line {table.lines[earlier]}) "
                f"and {raw_id!r} are the same, with different codes"
            )
            yield Problem(file, table.lines[raw_id], 1, text, "keep one of them")
    yield from _codes(name, field, table, file)


def _codes(name: str, field: FieldContract, table: MappingTable, file: str) -> Iterator[Problem]:
    if field.format == "text":
        return
    lines = {code: table.lines[raw_id] for raw_id, code in reversed(list(table.entries.items()))}
    for code, line in sorted(lines.items(), key=lambda entry: entry[1]):
        is_read = formatted_text(code, field.format, values=field.values or (), date_formats=field.date_formats)
        if is_read is None:
            text = f"{table.value_column} {code!r} is nothing that field {name} ({field.format}) can hold"
            yield Problem(file, line, 1, text, "correct the code or the field's format")


def _lookup(known: Known, field: FieldContract, path: Path) -> Iterator[Problem]:
    if (lookup := field.lookup) is None:
        return
    target = known.definition.target.system
    if known.columns is None:
        return
    declared = known.declared(target, lookup.entity)
    if declared is None:
        text = f"system {target} has no entity {lookup.entity!r}"
        yield known.problem((*path, "entity"), text, among("entities", known.entities_of(target)))
        return
    for clause, column in (("by", lookup.by), ("take", lookup.take)):
        if column not in declared:
            text = f"{target} {lookup.entity} has no column {column!r}"
            yield known.problem((*path, clause), text, among("columns", declared))


def _privileged(known: Known, field: FieldContract, path: Path) -> Iterator[Problem]:
    possible: Collection[str] | None = field.values
    where = "values of the field"
    if possible is None and field.map is not None and (table := known.tables.get(field.map)) is not None:
        default = (field.unmapped.default,) if isinstance(field.unmapped, DefaultValue) else ()
        possible, where = {*table.entries.values(), *default}, f"codes of table {field.map}"
    for place, value in enumerate(field.privileged or ()):
        if field.format == "boolean":
            continue  # the model allows true and false only
        if possible is not None and value not in possible:
            text = f"no record can have the privileged value {value!r}"
            yield known.problem((*path, place), text, among(where, possible))
        elif (fault := form_fault(value, field)) is not None:
            yield known.problem((*path, place), f"the privileged value {value!r} {fault}", "write the finished value")
