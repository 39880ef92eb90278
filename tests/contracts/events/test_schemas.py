"""What was released stays readable: by new programs, and, while a house is upgraded, by old ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field, ValidationError

from shared.events.compatibility import breaks, next_version
from shared.events.envelope import body_of
from shared.events.model import Document, Event
from shared.events.registry import EVENTS
from shared.events.schemas import (
    SCHEMAS,
    check,
    export,
    is_current,
    main,
    release,
    released_schemas,
    schema_of,
)

GOLDEN = Path(__file__).parent / "golden"
RELEASED = released_schemas()
Schema = dict[str, Any]


def pretty(body: bytes) -> str:
    """A body as a golden file holds it: the same fields in the same order, on lines of their own."""
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n"


# --- this repository ------------------------------------------------------------------------------------------------


def test_nothing_that_was_released_is_broken() -> None:
    assert [str(one) for one in check()] == []


def test_exported_schemas_are_those_of_the_types() -> None:
    assert is_current(), "run `python -m shared.events.schemas export`"


def test_every_released_schema_is_a_schema_and_closed() -> None:
    assert RELEASED
    for schema in RELEASED.values():
        Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False


def test_golden_documents_and_released_types_are_the_same_set() -> None:
    assert {path.name.removesuffix(".json") for path in GOLDEN.glob("*.json")} == set(RELEASED)


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_golden_document_parses_and_is_written_again_identically(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    assert pretty(body_of(EVENTS[name].model_validate_json(text))) == text
    Draft202012Validator(RELEASED[name]).validate(json.loads(text))


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_reader_refuses_a_golden_document_with_an_unknown_field(name: str) -> None:
    document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")) | {"stranger": 1}
    with pytest.raises(ValidationError):
        EVENTS[name].model_validate(document)
    assert not Draft202012Validator(RELEASED[name]).is_valid(document)


# --- each kind of break ---------------------------------------------------------------------------------------------


class Line(Document):
    """A part."""

    code: Literal["a", "b"]
    rows: int = Field(ge=1, le=9)


class Sample(Event):
    """A type with one field of each kind."""

    event_type: ClassVar[str] = "aether.sample.seen.v1"
    run: str = Field(min_length=1, pattern="^r")
    count: int = Field(ge=0)
    share: float = 0.5
    level: Literal["low", "high"] = "low"
    actor: str | None
    line: Line | None = None
    lines: tuple[Line, ...] = Field(max_length=5)
    by_code: dict[str, int]


SAMPLE = schema_of(Sample)


def remove(name: str, at: tuple[str, ...] = ()) -> Callable[[Schema], None]:
    def edit(schema: Schema) -> None:
        part = inside(schema, at)
        del part["properties"][name]
        part["required"] = [one for one in part["required"] if one != name]

    return edit


def put(path: tuple[str | int, ...], value: Any) -> Callable[[Schema], None]:
    def edit(schema: Schema) -> None:
        inside(schema, path[:-1])[path[-1]] = value

    return edit


def drop(path: tuple[str | int, ...]) -> Callable[[Schema], None]:
    def edit(schema: Schema) -> None:
        del inside(schema, path[:-1])[path[-1]]

    return edit


def both(*edits: Callable[[Schema], None]) -> Callable[[Schema], None]:
    def edit(schema: Schema) -> None:
        for one in edits:
            one(schema)

    return edit


def inside(schema: Schema, path: tuple[str | int, ...]) -> Any:
    part: Any = schema
    for name in path:
        part = part[name]
    return part


P = "properties"
TEXT = {"type": "string", "title": "New"}
KINDS: dict[str, tuple[Callable[[Schema], None], str, str]] = {
    "field removed": (remove("count"), "/properties/count", "field 'count' was removed"),
    "field renamed": (
        both(remove("by_code"), put((P, "by_kind"), SAMPLE[P]["by_code"])),
        "/properties/by_code",
        "field 'by_code' was renamed to 'by_kind'",
    ),
    "field of a part removed": (
        remove("rows", ("$defs", "Line")),
        "/$defs/Line/properties/rows",
        "field 'rows' was removed",
    ),
    "field retyped": (put((P, "count", "type"), "string"), "/properties/count", "was integer and is string"),
    "number narrowed to integer": (put((P, "share", "type"), "integer"), "/properties/share", "was number"),
    "optional field added": (put((P, "note"), {**TEXT, "default": ""}), "/properties/note", "field 'note' was added"),
    "required field added": (
        both(put((P, "note"), TEXT), put(("required",), [*SAMPLE["required"], "note"])),
        "/properties/note",
        "field 'note' was added and is required",
    ),
    "field of a part added": (
        put(("$defs", "Line", P, "note"), TEXT),
        "/$defs/Line/properties/note",
        "field 'note' was added",
    ),
    "field newly required": (
        put(("required",), [*SAMPLE["required"], "level"]),
        "/properties/level",
        "field 'level' became required",
    ),
    "field no longer required": (
        put(("required",), [one for one in SAMPLE["required"] if one != "actor"]),
        "/properties/actor",
        "field 'actor' is no longer required",
    ),
    "enum narrowed": (put((P, "level", "enum"), ["low"]), "/properties/level", 'the value "high" is gone'),
    "enum widened": (
        put((P, "level", "enum"), ["low", "high", "top"]),
        "/properties/level",
        'the value "top" was added',
    ),
    "enum became one value": (
        both(drop((P, "level", "enum")), put((P, "level", "const"), "low")),
        "/properties/level",
        'the value "high" is gone',
    ),
    "values now listed": (put((P, "count", "enum"), [1, 2]), "/properties/count", "only 1, 2 are allowed"),
    "values no longer listed": (drop((P, "level", "enum")), "/properties/level", "any value is allowed"),
    "bound tightened": (
        put(("$defs", "Line", P, "rows", "maximum"), 8),
        "/$defs/Line/properties/rows/maximum",
        "maximum was 9 and is 8",
    ),
    "bound added": (put((P, "run", "maxLength"), 40), "/properties/run/maxLength", "maxLength was not set and is 40"),
    "bound loosened": (put((P, "run", "minLength"), 0), "/properties/run/minLength", "minLength was 1 and is 0"),
    "bound of a list": (put((P, "lines", "maxItems"), 6), "/properties/lines/maxItems", "maxItems was 5 and is 6"),
    "pattern changed": (put((P, "run", "pattern"), "^s"), "/properties/run/pattern", 'pattern was "^r" and is "^s"'),
    "null no longer allowed": (
        put((P, "actor"), {"type": "string", "title": "Actor"}),
        "/properties/actor/anyOf/1",
        "the possibility of null is gone",
    ),
    "null newly allowed": (
        put((P, "count"), {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}),
        "/properties/count/anyOf/1",
        "null became possible",
    ),
    "part no longer allowed": (
        put((P, "line"), {"type": "null", "default": None}),
        "/$defs/Line",
        "the possibility of Line is gone",
    ),
    "items retyped": (put((P, "lines", "items"), TEXT), "/$defs/Line", "was Line and is string"),
    "values of a table retyped": (
        put((P, "by_code", "additionalProperties", "type"), "number"),
        "/properties/by_code/additionalProperties",
        "was integer and is number",
    ),
    "opened": (
        put(("additionalProperties",), True),
        "/additionalProperties",
        "additionalProperties was false and is true",
    ),
    "default changed": (put((P, "level", "default"), "high"), "/properties/level/default", 'the default was "low"'),
    "unknown keyword": (put((P, "count", "multipleOf"), 2), "/properties/count/multipleOf", "multipleOf was not set"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_break_is_refused_in_words(kind: str) -> None:
    edit, pointer, words = KINDS[kind]
    present = copy.deepcopy(SAMPLE)
    edit(present)
    found = breaks(Sample.event_type, SAMPLE, present)
    assert [one.pointer for one in found] == [pointer]
    text = str(found[0])
    assert text.startswith(f"aether.sample.seen.v1 at {pointer}: {words}")
    assert "make aether.sample.seen.v2" in text
    assert "would be refused" in text or "another thing" in text
    # The pointer leads somewhere in one of the two.
    parts = [part for part in pointer.split("/") if part]
    assert any(_leads(schema, parts) for schema in (SAMPLE, present))


def _leads(schema: Schema, parts: list[str]) -> bool:
    part: Any = schema
    for name in parts:
        if isinstance(part, list):
            part = part[int(name)]
        elif name in part:
            part = part[name]
        else:
            return False
    return True


@pytest.mark.parametrize("kind", [kind for kind, (_, _, words) in KINDS.items() if "was removed" not in words])
def test_break_undone_the_other_way_round_is_a_break_too(kind: str) -> None:
    present = copy.deepcopy(SAMPLE)
    KINDS[kind][0](present)
    assert breaks(Sample.event_type, present, SAMPLE)


def renamed_definitions(schema: Schema) -> Schema:
    text = json.dumps(schema).replace("#/$defs/Line", "#/$defs/Row")
    changed: Schema = json.loads(text)
    changed["$defs"] = {"Row": {**changed["$defs"]["Line"], "title": "Row", "description": "Said otherwise."}}
    return changed


def reordered(schema: Schema) -> Schema:
    changed = copy.deepcopy(schema)
    changed[P] = dict(reversed(changed[P].items()))
    changed["required"].reverse()
    changed[P]["level"]["enum"].reverse()
    changed[P]["actor"]["anyOf"].reverse()
    return changed


def inlined(schema: Schema) -> Schema:
    changed = copy.deepcopy(schema)
    changed[P]["lines"]["items"] = changed["$defs"]["Line"]
    return changed


@pytest.mark.parametrize("change", [copy.deepcopy, renamed_definitions, reordered, inlined])
def test_words_order_and_names_of_definitions_may_change(change: Callable[[Schema], Schema]) -> None:
    assert breaks(Sample.event_type, SAMPLE, change(SAMPLE)) == []


def test_definition_that_contains_itself_is_compared_once() -> None:
    def tree(kind: str) -> Schema:
        return {
            "$defs": {"Node": {"type": "object", "properties": {
                "value": {"type": kind}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            }}},
            "$ref": "#/$defs/Node",
        }  # fmt: skip

    assert breaks("x.v1", tree("string"), tree("string")) == []
    assert [one.pointer for one in breaks("x.v1", tree("string"), tree("integer"))] == ["/$defs/Node/properties/value"]


def test_reader_of_the_sample_agrees_with_what_is_called_a_break() -> None:
    """The rules speak of readers; here the readers themselves, for the two commonest breaks."""

    class Wider(Sample):
        note: str = ""

    old = Sample(run="r1", count=1, actor=None, lines=(), by_code={})
    new = Wider(**old.model_dump(), note="x")
    assert Wider.model_validate_json(body_of(old)).note == ""
    with pytest.raises(ValidationError, match="note"):
        Sample.model_validate_json(body_of(new))
    assert [one.pointer for one in breaks(Sample.event_type, SAMPLE, schema_of(Wider))] == ["/properties/note"]


# --- the command ----------------------------------------------------------------------------------------------------


def test_released_type_that_is_gone_is_refused(tmp_path: Path) -> None:
    events = {Sample.event_type: Sample}
    assert release(tmp_path, events=events) == [Sample.event_type]
    assert check(tmp_path, events=events) == []
    assert ["the type is gone" in str(one) for one in check(tmp_path, events={})] == [True]


def test_released_copy_is_never_written_again(tmp_path: Path) -> None:
    release(tmp_path, events={Sample.event_type: Sample})
    frozen = tmp_path / "released" / f"{Sample.event_type}.json"
    before = frozen.read_text(encoding="utf-8")

    class Other(Sample):
        note: str = ""

    assert release(tmp_path, events={Sample.event_type: Other}) == []
    assert frozen.read_text(encoding="utf-8") == before
    assert [one.pointer for one in check(tmp_path, events={Sample.event_type: Other})] == ["/properties/note"]


def test_export_writes_what_differs_and_removes_what_is_no_more(tmp_path: Path) -> None:
    stranger = tmp_path / "events" / "aether.gone.v1.json"
    stranger.parent.mkdir()
    stranger.write_text("{}", encoding="utf-8")
    events = {Sample.event_type: Sample}
    assert not is_current(tmp_path, events=events)
    assert sorted(export(tmp_path, events=events)) == ["aether.gone.v1.json", "aether.sample.seen.v1.json"]
    assert is_current(tmp_path, events=events)
    assert export(tmp_path, events=events) == []
    assert not stranger.exists()


def test_check_fails_with_every_break_on_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("events", "released"):
        (tmp_path / folder).mkdir()
        for path in (SCHEMAS / folder).glob("*.json"):
            (tmp_path / folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["check"], tmp_path) == 0
    assert capsys.readouterr().out == "what was released still holds\n"
    frozen = tmp_path / "released" / "aether.plan.drafted.v1.json"
    schema = json.loads(frozen.read_text(encoding="utf-8"))
    schema["properties"]["colour"] = {"type": "string"}
    frozen.write_text(json.dumps(schema), encoding="utf-8")
    assert main(["check"], tmp_path) == 1
    said = capsys.readouterr().out
    assert said.startswith("aether.plan.drafted.v1 at /properties/colour: field 'colour' was removed")
    assert "make aether.plan.drafted.v2" in said
    assert main(["bake"], tmp_path) == 2


def test_next_version_counts_on_and_needs_a_version() -> None:
    assert next_version("aether.plan.drafted.v9") == "aether.plan.drafted.v10"
    with pytest.raises(ValueError, match="does not end in its version"):
        next_version("aether.plan.drafted")
