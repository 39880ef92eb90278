"""Whether the list of protected records can mean anything: entities and fields exist, and keys are spelt as records do.

Pure. An entry that can never name a record is worse than none, because somebody relies on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.contract.columnar import formatted_text, stepped_texts
from shared.contract.known import Known, among
from shared.contract.model import EntityContract
from shared.contract.parts import transforms_named
from shared.contract.problems import Problem
from shared.contract.protected import ProtectedRecord


def protection_problems(known: Known) -> Iterator[Problem]:
    """Every entry that names nothing, or names what an earlier one does."""
    for entity, records in known.protected.items():
        contract = known.definition.entities.get(entity)
        if contract is None:
            text = f"{entity!r} is no entity of this connector"
            fix = among("entities", known.definition.entities)
            yield known.listed.problem((entity,), text, fix, at_key=True)
            continue
        seen: set[tuple[str | None, str | None]] = set()
        for place, record in enumerate(records):
            name = (record.key, record.target_id)
            if record.where is None and name in seen:
                yield known.listed.problem((entity, place), "this record is named a second time", "name it once")
            seen.add(name)
            yield from _fields(known, contract, entity, place, record)
            yield from _spelling(known, contract, entity, place, record)


def _fields(
    known: Known, contract: EntityContract, entity: str, place: int, record: ProtectedRecord
) -> Iterator[Problem]:
    for number, test in enumerate(record.where or ()):
        if test.column not in contract.fields:
            text = f"{test.column!r} is no field of {entity}"
            path = (entity, place, "where", number, "column")
            yield known.listed.problem(path, text, among("fields", contract.fields))


def _spelling(
    known: Known, contract: EntityContract, entity: str, place: int, record: ProtectedRecord
) -> Iterator[Problem]:
    field = contract.fields.get(contract.key)
    if record.key is None or field is None or field.map is not None or field.lookup is not None:
        return
    if field.sources is None or any(known.transforms.get(name) is None for _, name in transforms_named(field.steps)):
        return  # what comes of parts cannot be told from the whole
    stepped = stepped_texts([record.key], field.steps, known.usable_transforms)[0] or ""
    spelt = formatted_text(stepped, field.format, values=field.values or (), date_formats=field.date_formats)
    if spelt != record.key:
        text = f"no record has the key {record.key!r}: after steps and format it is {spelt!r}"
        yield known.listed.problem((entity, place, "key"), text, "write the key as records have it")
