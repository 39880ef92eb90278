"""Data: the district's local tables, masked; where each value came from; one record revealed with a reason.

A key is looked up by a form and never stands in an address; addresses name rows by the number the database gave them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, HTTPException, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import StringConstraints

from services.console.local.origins import is_personal_key
from services.console.local.reading import OFFSET_MAX, ROW_ID, LocalData, TableMissing
from services.console.pages.answers import errors
from services.console.pages.data_view import (
    DataOverview,
    DataPage,
    DataRecord,
    filter_columns,
    page_of,
    record_of,
    tables_of,
)
from services.console.rendering import page
from services.console.visiting import Revealer, Visitor, console_of

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["data"])

ROWS: Final = 50
"""Of one page."""
HISTORY_MAX: Final = 200
"""Changes of one key among which the last write is looked for."""
TOLD_MAX: Final = 290
"""Signs of one detail of a fact."""

TableName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
RowId = Annotated[str, Path(pattern=r"^[1-9][0-9]{0,17}$")]
Offset = Annotated[int, Query(ge=0, le=OFFSET_MAX)]
ColumnName = Annotated[str, Query(max_length=100)]
ColumnValue = Annotated[str, Query(max_length=200)]
Key = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10, max_length=TOLD_MAX)]


@router.get("/data")
async def overview(request: Request, visitor: Revealer) -> Response:
    """All local tables."""
    console = console_of(request)
    said = await console.local.said()
    return page(request, "data.html", visitor=visitor, overview=await _overview(console), faulty=said.faulty)


@router.get("/data/{table}")
async def table(
    request: Request,
    visitor: Revealer,
    table: TableName,
    offset: Offset = 0,
    column: ColumnName = "",
    value: ColumnValue = "",
    missed: Annotated[int, Query(ge=0, le=1)] = 0,
) -> Response:
    """A part of one table."""
    shown = await _page(console_of(request), table, offset=offset, column=column, value=value)
    return page(
        request,
        "data_table.html",
        visitor=visitor,
        shown=shown,
        columns=filter_columns(shown),
        tables=tuple(console_of(request).local.keys()),
        is_missed=bool(missed),
    )


@router.post("/data/{table}/find")
async def find(request: Request, visitor: Revealer, table: TableName, key: Annotated[Key, Form()]) -> Response:
    """Lead to the row of a key; the key itself stays out of addresses."""
    console = console_of(request)
    column = _key_column(console, table)
    row = await _data(console).row(table, column=column, value=key)
    row_id = None if row is None else row.get(ROW_ID)
    return RedirectResponse(f"/data/{table}?missed=1" if row_id is None else f"/data/{table}/{row_id}", 303)


@router.get("/data/{table}/{row_id}")
async def record(request: Request, visitor: Revealer, table: TableName, row_id: RowId) -> Response:
    """One row with the provenance of each value, masked."""
    shown = await _record(console_of(request), table, row_id, visitor=visitor)
    return page(request, "data_record.html", visitor=visitor, shown=shown, who="", reason="")


@router.post("/data/{table}/{row_id}/reveal")
async def reveal(
    request: Request, visitor: Revealer, table: TableName, row_id: RowId, reason: Annotated[Reason, Form()]
) -> Response:
    """One row with its personal values, once it is recorded who looks at it and why."""
    shown = await _record(console_of(request), table, row_id, visitor=visitor, reason=reason)
    return page(request, "data_record.html", visitor=visitor, shown=shown, who=visitor.user, reason=reason)


@api.get("/data", responses=errors(403))
async def overview_as_json(request: Request, visitor: Revealer) -> DataOverview:
    """All local tables."""
    return await _overview(console_of(request))


@api.get("/data/{table}", responses=errors(403, 404, 422))
async def table_as_json(
    request: Request,
    visitor: Revealer,
    table: TableName,
    offset: Offset = 0,
    column: ColumnName = "",
    value: ColumnValue = "",
) -> DataPage:
    """A part of one table; personal values are masked."""
    return await _page(console_of(request), table, offset=offset, column=column, value=value)


@api.get("/data/{table}/{row_id}", responses=errors(403, 404, 422))
async def record_as_json(request: Request, visitor: Revealer, table: TableName, row_id: RowId) -> DataRecord:
    """One row with the provenance of each value; personal values are masked."""
    return await _record(console_of(request), table, row_id, visitor=visitor)


async def _overview(console: Console) -> DataOverview:
    if console.local.data is None:
        return DataOverview(is_configured=False)
    keys = console.local.keys()
    counts = await console.local.data.counts(tuple(keys))
    return DataOverview(is_configured=True, tables=tables_of(keys, counts, (await console.local.said()).origins))


async def _page(console: Console, table: str, *, offset: int, column: str, value: str) -> DataPage:
    key = _key_column(console, table)
    data, origins = _data(console), (await console.local.said()).origins
    where = (column, value.strip()) if column and value.strip() else None
    try:
        if where is not None:
            # Asked first for the columns alone: a personal value must not be guessed through an address.
            bare = page_of(table, await data.page(table, where=None, offset=0, limit=0), key=key, origins=origins,
                           offset=0, limit=0, where=None)  # fmt: skip
            if column not in filter_columns(bare):
                known = ", ".join(filter_columns(bare)) or "none"
                raise HTTPException(
                    422,
                    f"column {column!r}: {table} cannot be narrowed by it; it can by: {known}. Choose one of these.",
                )
        found = await data.page(table, where=where, offset=offset, limit=ROWS)
    except TableMissing:
        raise _missing(table) from None
    return page_of(table, found, key=key, origins=origins, offset=offset, limit=ROWS, where=where)


async def _record(
    console: Console, table: str, row_id: str, *, visitor: Visitor, reason: str | None = None
) -> DataRecord:
    """One row; with a reason its personal values too, and then the fact is stored before they are handed out."""
    column = _key_column(console, table)
    try:
        row = await _data(console).row(table, column=ROW_ID, value=row_id)
    except TableMissing:
        raise _missing(table) from None
    if row is None:
        raise HTTPException(404, f"There is no row {row_id} in {table} (any more). Look its key up again.")
    key = row.get(column)
    is_known = key is not None and not is_personal_key(key)
    history = await console.records.plans.changes_of_key(key, limit=HISTORY_MAX) if key is not None and is_known else ()
    shown = record_of(
        table,
        row,
        key=column,
        origins=(await console.local.said()).origins,
        history=history,
        is_revealed=reason is not None,
    )
    if reason is not None:
        await console.telling.tell(
            "revealed",
            actor=visitor,
            subject=f"local table {table}, row {row_id}",
            table=table,
            key=(key or "")[:TOLD_MAX] if is_known else "(personal)",
            columns=", ".join(value.column for value in shown.values if value.is_personal)[:TOLD_MAX],
            reason=reason,
        )
    return shown


def _key_column(console: Console, table: str) -> str:
    keys = console.local.keys()
    if table not in keys:
        raise HTTPException(404, f"There is no local table {table}; there are: {', '.join(keys)}.")
    return keys[table]


def _data(console: Console) -> LocalData:
    if console.local.data is None:
        raise HTTPException(404, "No local database is named to this console; set AETHER_LOCAL_DATABASE_URL.")
    return console.local.data


def _missing(table: str) -> HTTPException:
    return HTTPException(
        404,
        f"The local database has no table {table}; it is made by the first run of a connector that writes to it, or "
        "look at AETHER_LOCAL_TABLE_PREFIX and AETHER_LOCAL_DATABASE_SCHEMA.",
    )
