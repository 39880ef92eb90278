"""Rows in, rows out: what is written is read back as it was, whatever it holds, and nothing else is moved."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import AetherError, RecordRefused
from systems.files.cells import FileWrong
from systems.files.description import FilesInterface
from systems.files.layout import Layout
from systems.files.settings import layout_of, settings_of
from systems.files.sheet import Sheet, rewritten, sheet_of
from systems.files.wire import RowChange

VALUES: dict[str, Any] = {
    "name": st.text(max_size=20),
    "note": st.none() | st.text(alphabet="=+-@'\t\r\n\",; 1a", max_size=6),
    "is_on": st.booleans(),
    "count": st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    "since": st.dates().map(lambda day: day.isoformat()),
}
KEY = st.text(alphabet=string.ascii_letters + "/ü ", min_size=1, max_size=8)
ROWS = st.dictionaries(KEY, st.fixed_dictionaries(VALUES), max_size=6)
FORMATS: list[dict[str, Any]] = [
    {"kind": "csv", "formulas": "escape"},
    {"kind": "csv", "formulas": "keep", "delimiter": ";", "quote_all": True, "line_end": "lf"},
    {"kind": "csv", "formulas": "escape", "encoding": "utf-16", "delimiter": "\t", "quote": "'"},
    {"kind": "json_lines"},
]


def layout(form: dict[str, Any], **more: Any) -> Layout:
    fields: dict[str, Any] = {
        "key": {"header": "Key"},
        "name": {"header": "Name"},
        "note": {"header": "Note"},
        "is_on": {"header": "On", "kind": "boolean", "is_true": ["Y"], "is_false": ["N"]},
        "count": {"header": "Count", "kind": "integer"},
        "since": {"header": "Since", "kind": "date"},
    }
    entity = {"file": "x.csv", "format": form, "key": "key", "fields": fields, "write": {}, **more}
    files = FilesInterface.model_validate({"entities": {"things": entity}})
    return layout_of(settings_of(files)(folder="/nowhere"), "things", code="SRC_CONFIG")


def added(key: str, values: dict[str, Any]) -> RowChange:
    return RowChange("things", "ADD", None, {"key": key, **values})


def records(sheet: Sheet) -> dict[str, dict[str, Any]]:
    found = {}
    for key in sheet.rows:
        record = sheet.record(key)
        assert record is not None
        found[key] = {name: value for name, value in record.items() if name in VALUES}
    return found


@pytest.mark.parametrize("form", FORMATS, ids=str)
@settings(deadline=None)
@given(rows=ROWS)
def test_what_is_written_is_read_back_as_it_was(form: dict[str, Any], rows: dict[str, dict[str, Any]]) -> None:
    here = layout(form)
    new = rewritten(sheet_of(here, None), [added(key, values) for key, values in rows.items()])
    refused = {key for key, answer in zip(rows, new.answers, strict=True) if isinstance(answer, AetherError)}
    assert refused == {key for key, values in rows.items() if "\0" in values["name"] and form["kind"] == "csv"}
    assert new.content is not None
    is_csv = form["kind"] == "csv"
    expected = {
        key: {name: None if is_csv and value == "" else value for name, value in values.items()}
        for key, values in rows.items()
        if key not in refused
    }
    assert records(sheet_of(here, new.content)) == expected


@settings(deadline=None)
@given(rows=ROWS, data=st.data())
def test_taking_rows_out_and_changing_them_leaves_the_others_to_the_byte(
    rows: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    here = layout(FORMATS[0])
    rows = {key: {**values, "name": values["name"].replace("\0", "")} for key, values in rows.items()}
    first = rewritten(sheet_of(here, None), [added(key, values) for key, values in rows.items()])
    assert first.content is not None
    before = sheet_of(here, first.content)
    gone = data.draw(st.sets(st.sampled_from(sorted(rows)))) if rows else set()
    set_ = data.draw(st.sets(st.sampled_from(sorted(set(rows) - gone)))) if set(rows) - gone else set()
    changes = [RowChange("things", "REMOVE", key, {}) for key in sorted(gone)]
    changes += [RowChange("things", "SET", key, {"note": "changed"}) for key in sorted(set_)]
    new = rewritten(before, changes)
    after = before if new.content is None else sheet_of(here, new.content)
    assert list(after.rows) == [key for key in rows if key not in gone]
    for key, row in after.rows.items():
        if key in set_:
            assert records(after)[key] == {**records(before)[key], "note": "changed"}
        else:
            assert row.raw == before.rows[key].raw


@settings(deadline=None)
@given(cut=st.integers(0, 400), rows=ROWS)
def test_a_cut_file_is_refused_or_ends_behind_a_row(cut: int, rows: dict[str, dict[str, Any]]) -> None:
    here = layout(FORMATS[0])
    rows = {key: {**values, "name": values["name"].replace("\0", "")} for key, values in rows.items()}
    whole = rewritten(sheet_of(here, None), [added(key, values) for key, values in rows.items()]).content
    assert whole is not None
    try:
        part = sheet_of(here, whole[:cut])
    except FileWrong as wrong:
        assert not any(len(key) > 4 and key in str(wrong) for key in rows)
        return
    expected = records(sheet_of(here, whole))
    assert records(part) == {key: expected[key] for key in part.rows}


def test_a_trailer_proves_every_cut() -> None:
    here = layout({"kind": "csv"}, proof={"kind": "trailer", "mark": "END", "count_at": 2})
    values = {"name": "Bo", "note": None, "is_on": True, "count": 1, "since": "2026-08-13"}
    whole = rewritten(sheet_of(here, None), [added(f"K{n}", values) for n in range(5)]).content
    assert whole is not None
    assert whole.endswith(b"END,5\r\n")
    for cut in range(len(whole) - 2):  # the end of the last line holds nothing
        with pytest.raises(FileWrong):
            sheet_of(here, whole[:cut])


def test_a_character_that_the_encoding_lacks_refuses_its_record_alone() -> None:
    here = layout({"kind": "csv", "encoding": "windows-1252"})
    values = {"name": "Bo", "note": None, "is_on": True, "count": 1, "since": "2026-08-13"}
    new = rewritten(sheet_of(here, None), [added("K1", {**values, "name": "王"}), added("K2", values)])
    assert isinstance(new.answers[0], RecordRefused)
    assert "王" not in str(new.answers[0])
    assert new.content is not None
    assert list(sheet_of(here, new.content).rows) == ["K2"]
