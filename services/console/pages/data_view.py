"""What the pages of local data show, from rows and contracts to page models. They read nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict

from services.console.local.origins import Origin, Origins, is_personal_key, masked, personal_columns
from services.console.local.reading import ROW_ID, Page, Row
from shared.audit.plan_lookups import RecordChange

APPLIED: Final = "applied"
WRITTEN_BY: Final = "written_by"
WRITTEN_AT: Final = "written_at"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataTable(_Model):
    """One local table."""

    name: str
    key: str
    """The column that tells its rows apart."""
    rows: int | None
    """None when the database does not have the table."""
    connectors: tuple[str, ...]
    """Which connectors write to it."""


class DataOverview(_Model):
    """All local tables."""

    is_configured: bool
    tables: tuple[DataTable, ...] = ()


class DataColumn(_Model):
    """One column."""

    name: str
    is_personal: bool
    """Shown masked."""


class DataCell(_Model):
    """One value of a row."""

    column: str
    value: str | None
    is_masked: bool


class DataRow(_Model):
    """One row, masked."""

    row_id: str | None
    key: str | None
    """As it is shown; None in a row that is the district's own."""
    cells: tuple[DataCell, ...]


class DataPage(_Model):
    """A part of one table."""

    table: str
    key: str
    columns: tuple[DataColumn, ...]
    rows: tuple[DataRow, ...]
    total: int
    offset: int
    limit: int
    column: str | None
    """Only rows with `value` in this column."""
    value: str | None


class ValueShown(_Model):
    """One value of one row with where it comes from."""

    column: str
    value: str | None
    is_masked: bool
    is_personal: bool
    origins: tuple[Origin, ...]


class LastWrite(_Model):
    """The change of ours that wrote the row last."""

    change_id: str | None
    at: str | None
    run: str | None
    """None when no plan on record holds the change under the row's key."""
    result: str | None


class DataRecord(_Model):
    """One row with the provenance of each value."""

    table: str
    row_id: str
    key: str | None
    is_revealed: bool
    values: tuple[ValueShown, ...]
    last_write: LastWrite


def tables_of(keys: Mapping[str, str], counts: Mapping[str, int | None], origins: Origins) -> tuple[DataTable, ...]:
    """The tables in the order of the system's description."""
    return tuple(
        DataTable(name=name, key=key, rows=counts.get(name), connectors=_connectors(name, origins))
        for name, key in keys.items()
    )


def page_of(
    table: str, page: Page, *, key: str, origins: Origins, offset: int, limit: int, where: tuple[str, str] | None
) -> DataPage:
    """A part of a table, masked."""
    personal = personal_columns(table, page.columns, key=key, origins=origins)
    shown = [name for name in page.columns if name != ROW_ID]
    return DataPage(
        table=table,
        key=key,
        columns=tuple(DataColumn(name=name, is_personal=name in personal) for name in shown),
        rows=tuple(
            DataRow(
                row_id=row.get(ROW_ID),
                key=key_shown(row.get(key)),
                cells=tuple(_cell(name, row[name], is_masked=_is_hidden(name, row, personal, key)) for name in shown),
            )
            for row in page.rows
        ),
        total=page.total,
        offset=offset,
        limit=limit,
        column=None if where is None else where[0],
        value=None if where is None else where[1],
    )


def record_of(
    table: str,
    row: Row,
    *,
    key: str,
    origins: Origins,
    history: Iterable[RecordChange],
    is_revealed: bool,
) -> DataRecord:
    """One row; its personal values are shown only when `is_revealed`."""
    personal = personal_columns(table, row.keys(), key=key, origins=origins)
    values = []
    for name, value in row.items():
        if name in (ROW_ID, WRITTEN_BY, WRITTEN_AT):
            continue
        hidden = _is_hidden(name, row, personal, key)
        cell = _cell(name, value, is_masked=hidden and not is_revealed)
        values.append(
            ValueShown(
                column=name,
                value=cell.value,
                is_masked=cell.is_masked,
                is_personal=hidden,
                origins=origins.get((table, name), ()),
            )
        )
    return DataRecord(
        table=table,
        row_id=row.get(ROW_ID) or "",
        key=key_shown(row.get(key)),
        is_revealed=is_revealed,
        values=tuple(values),
        last_write=_last_write(row, history),
    )


def key_shown(key: str | None) -> str | None:
    """A key as it is shown: an id whole, a mail address masked."""
    return masked(key) if key is not None and is_personal_key(key) else key


def filter_columns(page: DataPage) -> tuple[str, ...]:
    """By which columns a table may be narrowed in an address: none that is personal."""
    return tuple(
        column.name for column in page.columns if not column.is_personal and column.name not in (page.key, WRITTEN_BY)
    )


def _is_hidden(name: str, row: Row, personal: frozenset[str], key: str) -> bool:
    return name in personal or (name == key and is_personal_key(row.get(key) or ""))


def _cell(name: str, value: str | None, *, is_masked: bool) -> DataCell:
    return DataCell(column=name, value=masked(value) if is_masked and value else value, is_masked=is_masked)


def _last_write(row: Row, history: Iterable[RecordChange]) -> LastWrite:
    change_id = row.get(WRITTEN_BY)
    # The same change may stand in several plans: the one that was applied wrote the row.
    found = [each for each in history if each.change.change_id == change_id]
    found.sort(key=lambda each: each.change.result != APPLIED)
    return LastWrite(
        change_id=change_id,
        at=row.get(WRITTEN_AT),
        run=found[0].run if found else None,
        result=found[0].change.result if found else None,
    )


def _connectors(table: str, origins: Origins) -> tuple[str, ...]:
    names = {origin.connector for (name, _), said in origins.items() if name == table for origin in said}
    return tuple(sorted(names))
