"""What the small words do to one value: sharp cases, written out by hand, that hold by columns and row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.two_answers import (
    BOTH,
    Answer,
    case_of,
    person,
    value,
)
from tests.contracts.value_by_value import Raw

STEPS: list[tuple[list[str], Raw, str | None]] = [
    # White space is Unicode's, and nothing else is.
    (["trim"], "\u3000\u00a0 Ana \u2003\x85", "Ana"),
    (["trim"], "\u200bAna\ufeff", "\u200bAna\ufeff"),
    ([], " Ana ", " Ana "),
    ([], "\u3000\t", None),
    (["collapse_whitespace"], "Ana\u3000\t\r\n Maria", "Ana Maria"),
    (["collapse_whitespace"], "  Ana  ", " Ana "),
    # Combining characters come together, in their order; compatibility forms stay what they are.
    (["nfc"], "Jose\u0301", "Jos\u00e9"),
    (["nfc"], "y\u0301\u0323", "\u1ef5\u0301"),
    (["nfc"], "\uff2a\ufb01", "\uff2a\ufb01"),
    (["nfc"], "\u212b", "\u00c5"),
    # Letters by Unicode, also where one becomes two or depends on its place.
    (["upper"], "straße", "STRASSE"),
    (["upper"], "\ufb01nn", "FINN"),
    (["lower"], "\u0130nci", "i\u0307nci"),
    (["lower"], "ΟΔΟΣ ΟΔΟΣ", "οδος οδος"),
    (["upper"], "jose\u0301", "JOSE\u0301"),
    # ASCII digits only.
    (["digits"], "(916) 555-0152", "9165550152"),
    (["digits"], "\uff11\uff12٣4", "4"),
    (["digits"], "n/a", None),
    (["digits", "strip_country_code"], "+1 916 555 0152", "9165550152"),
    (["strip_country_code"], "29165550152", "29165550152"),
    (["strip_country_code"], "+1916555015", "+1916555015"),
    (["strip_country_code"], "1916555015\uff12", "1916555015\uff12"),
    (["strip_country_code"], "119165550152", "119165550152"),
    (["strip_country_code", "strip_country_code"], "11916555015", "1916555015"),
    # References are resolved once.
    (["unescape_html"], "O&#39;Birch &amp; S&ouml;hne", "O'Birch & Söhne"),
    (["unescape_html"], "&amp;lt;", "&lt;"),
    (["unescape_html", "unescape_html"], "&amp;lt;", "<"),
    (["unescape_html"], "&bogus;", "&bogus;"),
    (["unescape_html"], "&#x41;&#65;&#X41;", "AAA"),
    (["unescape_html"], "&notin;", "\u2209"),
    (["unescape_html"], "&amp", "&"),
    (["unescape_html"], "&NotEqualTilde;", "\u2242\u0338"),
    (["unescape_html"], "&#128;", "\u20ac"),
    (["unescape_html"], "&nbsp;", None),
    (["trim", "unescape_html"], " &nbsp;Ana", "\u00a0Ana"),
    # Names of one case are written as names are.
    (["proper_name"], "ANA MARIA", "Ana Maria"),
    (["proper_name"], "ana maria", "Ana Maria"),
    (["proper_name"], "MARIA DE LA CRUZ", "Maria de la Cruz"),
    (["proper_name"], "DE LA CRUZ", "De la Cruz"),
    (["proper_name"], "VON BIRCH", "Von Birch"),
    (["proper_name"], "LUDWIG VAN MAPLE", "Ludwig van Maple"),
    (["proper_name"], "MCALDER", "McAlder"),
    (["proper_name"], "mcalder", "McAlder"),
    (["proper_name"], "O'BIRCH", "O'Birch"),
    (["proper_name"], "JEAN-LUC", "Jean-Luc"),
    (["proper_name"], "ÉLAN ØST", "Élan Øst"),
    (["proper_name"], "JOSE\u0301", "Jose\u0301"),
    (["proper_name"], "McAlder", "McAlder"),
    (["proper_name"], "DeLaCruz", "DeLaCruz"),
    (["proper_name"], "Ana de la Cruz", "Ana de la Cruz"),
    (["proper_name"], "de la Cruz", "de la Cruz"),
    (["proper_name"], "  DE   LA\u3000CRUZ ", "  De   la\u3000Cruz "),
    (["proper_name"], "12", "12"),
    (["proper_name"], "ANA DE LOS RIOS", "Ana de los Rios"),
    (["proper_name"], "ANA-DE-LA BIRCH", "Ana-De-La Birch"),
    (["proper_name"], "LUDWIG BIRCH III", "Ludwig Birch III"),
    (["proper_name"], "\ufb01nn", "Finn"),
    # Steps are taken in their order.
    (["lower", "proper_name"], "McALDER", "McAlder"),
    (["digits", "trim"], " 1 2 ", "12"),
    (["unescape_html", "lower"], "&EACUTE;", "&eacute;"),
    (["lower", "unescape_html"], "&EACUTE;", "é"),
]


@BOTH
@pytest.mark.parametrize(("steps", "raw", "expected"), STEPS)
def test_steps_do_what_they_say(answer: Answer, steps: list[str], raw: Raw, expected: str | None) -> None:
    assert value(answer, {"steps": steps}, raw) == expected


BAD = ["NRM_BAD_FORMAT"]
DATES = {"format": "date", "date_formats": ["%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y"]}
FORMATTED: list[tuple[dict[str, Any], Raw, Any]] = [
    ({"format": "email"}, "ana@x.example", "ana@x.example"),
    ({"format": "email"}, "ana@x.example, leo@x.example", BAD),
    ({"format": "email"}, "ana@@x.example", BAD),
    ({"format": "email"}, "ana@", BAD),
    ({"format": "email"}, "@x.example", BAD),
    ({"format": "email"}, "ana\u00a0b@x.example", BAD),
    ({"format": "email"}, "ana@x.example\n", BAD),
    ({"format": "e164"}, "9165550152", "+19165550152"),
    ({"format": "e164"}, "+12345678", "+12345678"),
    ({"format": "e164"}, "+1234567", BAD),
    ({"format": "e164"}, "+123456789012345", "+123456789012345"),
    ({"format": "e164"}, "+1234567890123456", BAD),
    ({"format": "e164"}, "19165550152", BAD),
    ({"format": "e164"}, "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff10", BAD),
    ({"format": "e164"}, "+\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18", BAD),
    ({"format": "e164"}, "+12345678\n", BAD),
    ({"format": "boolean"}, "true", True),
    ({"format": "boolean"}, "false", False),
    ({"format": "boolean"}, "maybe", BAD),
    ({"format": "date"}, "2026-08-16", "2026-08-16"),
    ({"format": "date"}, "2026-08-16T23:59:59", "2026-08-16"),
    ({"format": "date"}, "2026-08-16T23:59:59.123456-08:00", "2026-08-16"),
    ({"format": "date"}, "2026-08-16T07:13:43Z", "2026-08-16"),
    ({"format": "date"}, "2026-02-29", BAD),
    ({"format": "date"}, "2024-02-29", "2024-02-29"),
    ({"format": "date"}, "2026-08-16 or later", BAD),
    ({"format": "date"}, "26-08-16", BAD),
    ({"format": "date"}, "20260-08-16", BAD),
    ({"format": "date"}, "\uff12\uff10\uff12\uff16-08-16", BAD),
    ({"format": "date"}, "08/16/2026", BAD),
    (DATES, "08/16/2026", "2026-08-16"),
    (DATES, "16/08/2026", "2026-08-16"),
    (DATES, "01/02/2026", "2026-01-02"),
    (DATES, "31/31/2026", BAD),
    ({"format": "date", "date_formats": ["%d.%m.%Y"]}, "2026-08-16", BAD),
    ({"format": "date", "date_formats": ["%b %d, %Y"]}, "Aug 16, 2026", "2026-08-16"),
    ({"format": "date", "date_formats": ["%Y-%m-%d %H:%M:%S"]}, "2026-08-16 07:13:43", "2026-08-16"),
    ({"format": "integer"}, "0", "0"),
    ({"format": "integer"}, "-5", "-5"),
    ({"format": "integer"}, "+5", BAD),
    ({"format": "integer"}, "1.0", BAD),
    ({"format": "integer"}, "٣", BAD),
    ({"format": "integer"}, "--5", BAD),
    ({"format": "integer"}, "-", BAD),
    ({"format": "integer"}, "123456789012345678901234567890", "123456789012345678901234567890"),
    ({"format": "integer"}, "007", "7"),
    ({"format": "integer"}, "-007", "-7"),
    ({"format": "integer"}, "-0", "0"),
    ({"format": "grade"}, "PK", "PK"),
    ({"format": "grade"}, "k", "KG"),
    ({"format": "grade"}, "-1", "TK"),
    ({"format": "grade"}, "\uff11", BAD),
    ({"format": "grade"}, "KG", "KG"),
    ({"format": "grade"}, "7", "07"),
    ({"format": "grade"}, "12", "12"),
    ({"format": "grade"}, "13", BAD),
    ({"format": "grade"}, "UG", "UG"),
    ({"format": "grade"}, "freshman", BAD),
    ({"format": "enum", "values": ["A"], "drift": "evolve"}, "Z", "Z"),
    ({"format": "enum", "values": ["A"], "drift": "discard_value"}, "Z", None),
    ({"format": "enum", "values": ["A"], "drift": "discard_value"}, "A", "A"),
    ({"format": "enum", "values": ["A"], "drift": "discard_row"}, "Z", ["NRM_UNKNOWN_VALUE"]),
    ({"format": "enum", "values": ["A"], "drift": "freeze"}, None, None),
    ({"format": "email", "on_invalid": "discard_value"}, "ana", None),
    ({"format": "email", "on_invalid": "discard_value", "required": True}, "ana", ["NRM_MISSING_REQUIRED"]),
    ({"required": True}, "\u3000", ["NRM_MISSING_REQUIRED"]),
    ({"required": True}, "\u200b", "\u200b"),
    ({"steps": ["digits"], "required": True}, "n/a", ["NRM_MISSING_REQUIRED"]),
    ({"steps": ["upper"], "map": "roles"}, "a1", "TEACHER"),
    ({"steps": ["upper"], "map": "roles"}, "B2", "OFFICE"),
    ({"map": "roles"}, "B2", ["NRM_UNMAPPED"]),
    ({"map": "roles"}, " A1", ["NRM_UNMAPPED"]),
    ({"map": "roles"}, None, None),
    ({"map": "roles"}, "", None),
    ({"map": "roles", "unmapped": {"default": "OTHER"}}, "Z", "OTHER"),
    ({"map": "roles", "unmapped": {"default": "OTHER"}}, " ", None),
    ({"map": "roles", "unmapped": {"default": "OTHER"}, "format": "integer"}, "Z", BAD),
    ({"map": "roles", "format": "email"}, "007", "Bond@x.example"),
    ({"map": "sites", "format": "e164"}, "é", "+19165550152"),
    ({"map": "sites", "steps": ["nfc"], "format": "e164"}, "e\u0301", "+19165550152"),
]


@BOTH
@pytest.mark.parametrize(("field", "raw", "expected"), FORMATTED)
def test_a_value_has_its_form_or_is_told(answer: Answer, field: dict[str, Any], raw: Raw, expected: Any) -> None:
    assert value(answer, field, raw) == expected


HOLDS: list[tuple[dict[str, Any], Raw, bool]] = [
    ({"in": ["A", "B"]}, "B", True),
    ({"in": ["A", "B"]}, " B", False),
    ({"in": ["A", "B"], "steps": ["trim"]}, " B", True),
    ({"in": ["", " "]}, " ", False),
    ({"in": ["", " "]}, None, False),
    ({"in": [True]}, "true", True),
    ({"in": [1]}, "1", True),
    ({"in": [1]}, "true", False),
    ({"in": [True]}, "1", False),
    ({"not_in": ["A"]}, None, True),
    ({"not_in": ["A"]}, "\u3000", True),
    ({"not_in": ["A"]}, "A", False),
    ({"not_in": ["", " "]}, " ", True),
    ({"equals": "A"}, "A", True),
    ({"equals": 12}, "12", True),
    ({"equals": 12}, "012", False),
    ({"equals": False}, "false", True),
    ({"equals": False}, None, False),
    ({"starts_with": ["C", "O'"]}, "O'Birch", True),
    ({"starts_with": [" "]}, " ", False),
    ({"starts_with": [".*"]}, "Ana", False),
    ({"starts_with": ["e"]}, "é", False),
    ({"matches": "[0-9]+"}, "12", True),
    ({"matches": "[0-9]+"}, "12a", False),
    ({"matches": "[0-9]+"}, "a12", False),
    ({"matches": "[0-9]+"}, "12\n", False),
    ({"matches": "a|ab"}, "ab", True),
    ({"matches": ".*"}, None, False),
    ({"matches": ".*"}, " ", False),
    ({"matches": ".*"}, "\u200b", True),
    ({"matches": "."}, "é", True),
    ({"matches": "."}, "e\u0301", False),
    ({"matches": "^A$"}, "A", True),
    ({"matches": "^A|B$"}, "AB", False),
    ({"in_table": "roles"}, "A1", True),
    ({"in_table": "roles"}, "TEACHER", False),
    ({"in_table": "roles", "steps": ["upper"]}, "B2", True),
    ({"in_table": "roles", "steps": ["lower"]}, "A1", True),
    ({"in_table": "roles", "steps": ["digits"]}, "x7x1", False),
    ({"in_table": "roles"}, " ", False),
    ({"is_blank": True}, "\u00a0", True),
    ({"is_blank": True}, None, True),
    ({"is_blank": True}, "\u200b", False),
    ({"is_blank": True, "steps": ["digits"]}, "n/a", True),
    ({"is_not_blank": True}, "0", True),
    ({"is_not_blank": True}, "\u3000", False),
]


@BOTH
@pytest.mark.parametrize(("test", "raw", "expected"), HOLDS)
def test_a_condition_holds_or_not(answer: Answer, test: dict[str, Any], raw: Raw, expected: bool) -> None:
    found = answer(case_of({"constant": "B"}, person(name=raw), scope=[{"column": "person.name"} | test]))
    assert (len(found.records), found.out_of_scope) == ((1, 0) if expected else (0, 1))
    looked_at = answer(case_of({"constant": "B"}, person(name=raw), origin={"where": [{"column": "name"} | test]}))
    assert (len(looked_at.records), looked_at.out_of_scope) == ((1, 0) if expected else (0, 0))
