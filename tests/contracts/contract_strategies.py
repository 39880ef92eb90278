"""Hypothesis strategies: contracts of every clause, and rows as messy as clerks and exports make them.

Contracts are drawn as the documents that `connector.yaml` holds and go through the model, so that nothing is drawn that
could not be written. All people are synthetic. Values are drawn from pools that were chosen to meet each other: ids
that differ in case and white space, spellings that a step makes equal, forms that are just right and just wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from shared.contract.model import EntityContract
from tests.contracts.row_by_row import Row
from tests.contracts.value_by_value import Transforms

ROWS_MAX = 6
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "person": {
        "id": "id", "name": "name", "nick": "name", "mail": "email", "phone": "e164", "num": "int", "flag": "bool",
        "row": "number",
    },
    "job": {
        "person": "id", "seq": "int", "open": "bool", "title": "name", "code": "code", "site": "id", "row": "number",
    },
    "site": {"code": "id", "rank": "int", "town": "name", "day": "date", "level": "grade", "row": "number"},
}  # fmt: skip
LOOKED_UP = "groups"
TABLES: Mapping[str, Mapping[str, str]] = {
    "roles": {"A1": "TEACHER", "b2": "OFFICE", "12": "AIDE", "true": "YES", "007": "Bond@x.example"},
    "sites": {"C1": "TL-010", "C2": "TL-020", "Ä": "2026-08-16", "é": "+19165550152"},
}

IDS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "c1", " C1", "C2\u00a0", "\u3000c2", "A1", "12", "Ä", "a\u0308")
BLANKS = ("", " ", "\t", "\u00a0", "\u3000\u2003", "\x85", "\r\n")
# These look blank and are not.
NEARLY_BLANK = ("\u200b", "\ufeff", "\x1f", "&nbsp;", "\u00ad")
NAMES = (
    "Ana", "ANA MARIA", "leo cedar", "de la Cruz", "DE LA CRUZ", "maria de los rios", "VON  BIRCH", "Ludwig van Maple",
    "MCALDER", "mcalder", "McAlder", "O'BIRCH", "o'birch", "O'Birch", "ana-maria", "JEAN-LUC", "Jose\u0301", "José",
    "JOSE\u0301", "\uff2a\uff4f\uff53é", "straße", "STRASSE", "İnci", "ΟΔΟΣ", "O&#39;Birch",
    "Alder &amp; Cedar", "&eacute;lan",
    "&amp;lt;", "&lt", "&bogus;", "  Ana\u2003Maria ", "\u200bAna", "ﬁnn", "x", "Ǆ", "y\u0301\u0323", "mary  J",
)  # fmt: skip
FORMED: Mapping[str, tuple[str, ...]] = {
    "email": ("ana@x.example", " Ana@X.example ", "leo.birch@x.example", "ana@@x.example", "ana x@x.example",
              "@x.example", "ana@", "ana"),
    "e164": ("(916) 555-0152", "9165550152", "19165550152", "1 916 555 0152", "+19165550152", "+1916555015",
             "29165550152", "555-0152", "+1", "+1234567", "+12345678", "+123456789012345", "+1234567890123456",
             "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff10",
             "+\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18"),
    "date": ("2026-08-16", "2026-08-16T07:13:43", "2026-08-16T07:13:43Z", "2026-08-16T23:59:59.123-08:00",
             "2026-02-29", "2024-02-29", "2026-13-01", "08/16/2026", "16/08/2026", "8/1/2026", "16.08.2026",
             "\uff12\uff10\uff12\uff16-08-16", "2026-08-16x"),
    "code": ("A", "B", "a", "A1", "b2", "B2", " a1 ", "true", "12", "TEACHER", "007", "ANA"),
    "grade": ("PK", "TK", "KG", "K", "UG", "1", "01", "10", "13", "pk", "kg", "-1", "0"),
    "integer": ("0", "-0", "7", "07", "007", "12", "-5", "+5", "--5", "1.0", "1e3", "٣",
                "123456789012345678901234567890"),
    "boolean": ("true", "false", "True", "FALSE", "yes"),
}  # fmt: skip
OTHERS = tuple(value for values in FORMED.values() for value in values)
SUITED: Mapping[str, tuple[str, ...]] = {
    "email": ("person.mail",), "e164": ("person.phone",), "date": ("site.day",), "enum": ("job.code",),
    "grade": ("site.level",), "integer": ("person.num", "job.seq", "site.rank"), "boolean": ("person.flag", "job.open"),
    "text": ("person.name", "person.nick", "job.title", "site.town"),
}  # fmt: skip
"""Columns in which a field of the format may well find its values."""

NAMED_STEPS = (
    "trim", "collapse_whitespace", "nfc", "lower", "upper", "digits", "strip_country_code", "unescape_html",
    "proper_name",
)  # fmt: skip
FORMATS = ("text", "email", "e164", "boolean", "date", "integer", "grade", "enum")
ENUM_VALUES = ("A", "B", "TEACHER", "true", "ANA", "c1", "1")
DATE_FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y", "%d/%m/%Y")
BEGINNINGS = ("C", "c", "A", "a", "1", " ", "J", "0", "O'")
PATTERNS = ("[A-Z]+[0-9]", "C.*", "[0-9]+", "(a|A)na", ".", "c[12]?", "[^@]+@x[.]example")


def _refuses(text: str) -> str:
    if "@" in text:
        raise ValueError("refused on purpose")
    return text[::-1]


TRANSFORMS: Transforms = {
    "backwards": lambda text: text[::-1],
    "first_letter": lambda text: text[:1],
    "none_of_it": lambda text: None if text.startswith("C") else text,
    "refuses_mail": _refuses,
}


@dataclass(frozen=True)
class Case:
    """A contract and what it is to be applied to."""

    document: dict[str, Any]
    """The contract as it would be written."""
    sources: Mapping[str, list[Row]]
    lookups: Mapping[str, list[Row]]

    @property
    def contract(self) -> EntityContract:
        """The contract as read."""
        return EntityContract.model_validate(self.document)


def cells(kind: str) -> st.SearchStrategy[Any]:
    """Values of one column; every kind can be missing."""
    if kind == "int":
        return st.none() | st.sampled_from((0, 1, 2, 7, 12, -5, 10**12))
    if kind == "bool":
        return st.sampled_from((None, True, False))
    blank = st.none() | st.sampled_from(BLANKS) | st.sampled_from(NEARLY_BLANK)
    wide = st.sampled_from(IDS) | st.sampled_from(NAMES) | st.sampled_from(OTHERS)
    if kind == "id":
        ids = st.sampled_from(IDS)
        return st.integers(0, 9).flatmap(lambda die: blank if die == 0 else ids)
    own = st.sampled_from(NAMES if kind == "name" else FORMED[kind])
    return st.integers(0, 11).flatmap(lambda die: own if die < 9 else wide if die == 9 else blank)


def rows(alias: str) -> st.SearchStrategy[list[Row]]:
    """Rows of one source."""
    row = st.fixed_dictionaries({name: cells(kind) for name, kind in COLUMNS[alias].items() if kind != "number"})
    several = st.integers(0, ROWS_MAX).flatmap(lambda count: st.lists(row, min_size=count, max_size=ROWS_MAX))
    return several.map(lambda drawn: [cells | {"row": number} for number, cells in enumerate(drawn)])


def steps(*, may_fail: bool = False) -> st.SearchStrategy[list[Any]]:
    """Steps, left to right; transforms that refuse a value only where that is asked for."""
    python = [name for name in TRANSFORMS if may_fail or name != "refuses_mail"]
    return st.lists(
        st.sampled_from(NAMED_STEPS) | st.sampled_from(NAMED_STEPS) | st.sampled_from([{"python": n} for n in python]),
        max_size=3,
    )


def _columns(aliases: list[str]) -> tuple[str, ...]:
    return tuple(f"{alias}.{name}" for alias in aliases for name in _drawn(alias))


def _drawn(alias: str) -> tuple[str, ...]:
    """The columns whose values are drawn; `row` numbers the rows, so that an order can be total."""
    return tuple(name for name, kind in COLUMNS[alias].items() if kind != "number")


def tests() -> st.SearchStrategy[dict[str, Any]]:
    """The comparison of a condition."""
    pool = st.sampled_from(IDS + NAMES[:8] + OTHERS[:4] + ("A", "true", "12"))
    scalars = pool | st.booleans() | st.sampled_from((0, 1, 12, -5))
    lists = st.lists(scalars, min_size=1, max_size=4)
    return st.one_of(
        st.fixed_dictionaries({"in": lists}),
        st.fixed_dictionaries({"not_in": lists}),
        st.fixed_dictionaries({"equals": scalars}),
        st.fixed_dictionaries({"starts_with": st.lists(st.sampled_from(BEGINNINGS), min_size=1, max_size=3)}),
        st.fixed_dictionaries({"matches": st.sampled_from(PATTERNS)}),
        st.fixed_dictionaries({"in_table": st.sampled_from(tuple(TABLES))}),
        st.just({"is_blank": True}),
        st.just({"is_not_blank": True}),
    )  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn, columns: st.SearchStrategy[str], at_most: int) -> list[dict[str, Any]]:
    """Conditions on the columns given."""
    count = max(0, draw(st.integers(-2, at_most)))
    return [{"column": draw(columns), "steps": draw(steps())} | draw(tests()) for _ in range(count)]


def bare(alias: str) -> st.SearchStrategy[str]:
    """A bare column of a source."""
    return st.sampled_from(_drawn(alias))


@st.composite
def orders(draw: st.DrawFn, alias: str, *, is_total: bool) -> list[dict[str, Any]]:
    """One to three terms, and a last one that leaves no two rows equal when that is asked for."""
    terms = []
    for _ in range(draw(st.integers(1, 3))):
        column = draw(bare(alias))
        numeric = COLUMNS[alias][column] in ("int", "bool")
        terms.append(
            {
                "column": column,
                "steps": [] if numeric else draw(steps()),
                "direction": draw(st.sampled_from(("asc", "desc"))),
            }
        )
    if is_total:
        terms.append({"column": "row", "direction": draw(st.sampled_from(("asc", "desc")))})
    return terms


@st.composite
def _origins(draw: st.DrawFn, columns: st.SearchStrategy[str]) -> dict[str, Any]:
    """`from` or `concat`."""
    if draw(st.integers(0, 2)):
        return {"from": draw(st.lists(columns, min_size=1, max_size=3, unique=True))}
    column = st.fixed_dictionaries({"column": columns, "steps": steps()})
    text = st.fixed_dictionaries({"text": st.sampled_from((".", "-", " x ", "@x.example"))})
    parts = draw(st.lists(column | column | text, min_size=2, max_size=4))
    return {"concat": {"parts": parts, "separator": draw(st.sampled_from((" ", "", ", ")))}}


@st.composite
def _cases(draw: st.DrawFn, columns: st.SearchStrategy[str]) -> list[dict[str, Any]]:
    cases = []
    for _ in range(draw(st.integers(1, 3))):
        when = draw(conditions(columns, 2)) or [{"column": draw(columns)} | draw(tests())]
        origin = draw(_origins(columns) | st.just({"constant": "A"}) | st.just({}))
        cases.append({"when": when} | origin)
    if draw(st.booleans()):
        cases.append({"when": [], "constant": "c1"} if draw(st.booleans()) else {"when": []} | draw(_origins(columns)))
    return cases


@st.composite
def _suited(draw: st.DrawFn, form: str, columns: tuple[str, ...]) -> dict[str, Any]:
    """An origin and steps with which most values have the form; any origin where no column suits it."""
    suited = [column for column in SUITED[form] if column in columns]
    if not suited:
        return draw(_origins(st.sampled_from(columns)))
    steps_by_form = {"e164": [["digits", "strip_country_code"], ["trim"]], "email": [["trim", "lower"], []]}
    return {
        "from": [draw(st.sampled_from(suited))],
        "steps": draw(st.sampled_from(steps_by_form.get(form, [[], ["trim"]]))),
    }


@st.composite
def fields(draw: st.DrawFn, among: tuple[str, ...], *, stops: bool) -> dict[str, Any]:
    """Any field but the key; with `stops` also such that stop the run."""
    die = draw(st.integers(0, 9))
    if die == 0:
        return draw(
            st.sampled_from(
                (
                    {"constant": True, "format": "boolean"},
                    {"constant": "B"},
                    {"constant": "A", "format": "enum", "values": ["A", "B"]},
                    {"constant": "2026-08-16", "format": "date"},
                )
            )
        )
    columns = st.sampled_from(among)
    form = draw(st.sampled_from((*FORMATS, "text")))
    field: dict[str, Any] = {"steps": draw(steps(may_fail=True))}
    if die < 3:
        field["cases"] = draw(_cases(columns))
    elif die < 6:
        field |= draw(_origins(columns))
    else:
        field |= draw(_suited(form, among))
    field |= {"format": form, "on_invalid": draw(st.sampled_from(("quarantine", "discard_value", "discard_value")))}
    if form == "enum":
        field["values"] = list(ENUM_VALUES)
        drifts = ("evolve", "discard_value", "discard_row")
        field["drift"] = draw(st.sampled_from((*drifts, "freeze") if stops else drifts))
    if form == "date":
        field["date_formats"] = draw(st.lists(st.sampled_from(DATE_FORMATS), min_size=1, max_size=3, unique=True))
    mapped = draw(st.integers(0, 7))
    if mapped == 0:
        field["map"] = draw(st.sampled_from(tuple(TABLES)))
        field["steps"] = [step for step in field["steps"] if not isinstance(step, dict)]
    elif mapped == 1:
        field["lookup"] = {"entity": LOOKED_UP, "by": "name", "take": draw(st.sampled_from(("target_id", "mail")))}
        field["steps"] = [step for step in field["steps"] if step != {"python": "refuses_mail"}]
    if mapped < 2:
        defaults = ({"default": "A"}, "reject", {"default": "OTHER"})
        field["unmapped"] = draw(st.sampled_from((*defaults, "block") if stops else defaults))
    field["required"] = draw(st.integers(0, 7)) == 0
    field["clear"] = not field["required"] and draw(st.booleans())
    return field


@st.composite
def contracts(draw: st.DrawFn, *, stops: bool, is_total: bool) -> dict[str, Any]:
    """A contract over `person`, with none, one or both of `job` and `site` joined."""
    aliases = ["person"]
    joins = []
    for alias, column in draw(
        st.sampled_from(((), (("job", "person"),), (("site", "code"),), (("job", "person"), ("site", "code"))))
    ):
        left = "job.site" if alias == "site" and "job" in aliases else "person.id"
        lefts = st.just(left) | st.just(left) | st.sampled_from(_columns(aliases))
        both = draw(st.sampled_from(([], ["trim"], ["trim", "upper"], ["trim", "lower", "nfc"])))
        joins.append(
            {
                "source": alias,
                "on": {
                    "left": {"column": draw(lefts), "steps": both},
                    "right": {"column": draw(st.just(column) | st.just(column) | bare(alias)), "steps": both},
                },
                "where": draw(conditions(bare(alias), 1)),
                "order": draw(orders(alias, is_total=is_total)),
            }
        )
        aliases.append(alias)
    among = _columns(aliases)
    columns = st.sampled_from(among)
    origin: dict[str, Any] = {"source": "person", "where": draw(conditions(bare("person"), 1))}
    if draw(st.booleans()):
        by = {
            "column": draw(st.just("id") | st.just("id") | bare("person")),
            "steps": draw(st.just(["trim"]) | st.just(["trim", "upper"]) | steps()),
        }
        origin["pick"] = {"by": by, "order": draw(orders("person", is_total=is_total))}
    key = {"from": ["person.id"], "steps": draw(st.sampled_from(([], ["trim"], ["trim", "upper"])))}
    if draw(st.integers(0, 5)) == 0:
        key = {"from": draw(st.lists(columns, min_size=1, max_size=2, unique=True)), "steps": draw(steps())}
    names = draw(st.permutations(("key_field", "alpha", "beta", "gamma")))[: draw(st.integers(1, 4))]
    names = names if "key_field" in names else [*names, "key_field"]
    return {
        "from": origin,
        "joins": joins,
        "scope": draw(conditions(columns, 1)),
        "key": "key_field",
        "fields": {name: key if name == "key_field" else draw(fields(among, stops=stops)) for name in names},
    }


@st.composite
def cases(draw: st.DrawFn, *, stops: bool = False, is_total: bool = True) -> Case:
    """A contract with rows for it; with `stops` the contract may stop the run, and unless `is_total` rows may tie."""
    document = draw(contracts(stops=stops, is_total=is_total))
    used = ["person", *(join["source"] for join in document["joins"])]
    group = st.fixed_dictionaries(
        {"target_id": st.sampled_from(("g1", "g2", "g3")), "name": cells("name"), "mail": cells("email")}
    )
    groups: list[Row] = list(draw(st.lists(group, max_size=ROWS_MAX)))
    return Case(document, {alias: draw(rows(alias)) for alias in used}, {LOOKED_UP: groups})
