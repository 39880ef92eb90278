"""One field of an entity: its clauses, and its values both ways. Pure: values in, values out.

Reading turns what stands in the other side's JSON into a column's value, or says what is wrong with it and never what
it was; writing turns a canonical value into what the other side wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from shared.http.rows import FieldShape, Kind
from shared.ports.wire import Value
from systems.http.places import Json, Place, picked, place_of

DIGITS_MAX = 18
INTEGER_MAX = 2**63 - 1
EPOCH_SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999."""

Code = bool | int | str
"""A value of a code table; the kinds are told apart: 1, "1" and true are three codes."""


class Part(BaseModel):
    """A part of an interface document: nothing in it goes unread."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _is_place(text: str) -> str:
    place_of(text)
    return text


PlaceText = Annotated[str, AfterValidator(_is_place), Field(max_length=200)]
"""`name`, `outer.inner`, or `list[member=value].name` for the one item of a list that has that member."""


class HttpField(Part):
    """One field: where it stands in the other side's JSON, and what it may be."""

    wire: PlaceText
    """The place of the value."""
    kind: Kind
    """What the value means to us; dates and times are ISO 8601 text."""
    nullable: bool = False
    """Whether null is a value that it may have. The item of a list that is not there counts as null."""
    optional: bool = False
    """Whether the other side may leave it out, or any object around it; it is null then."""
    read_only: bool = False
    """Given by the other side; never sent."""
    as_number: bool = False
    """For text: it is a whole number over there, with the same digits and without leading zeros."""
    lookup: dict[Code, Code | None] = Field(default={})
    """A code table: our value, their value. Each of theirs stands there once."""
    unlisted: Literal["refuse", "keep"] = "refuse"
    """A value of theirs that the code table does not hold: it ends the reading, or is kept, as text."""
    format: str | None = Field(default=None, max_length=60)
    """How a date or time is written over there, if not in ISO 8601: with %Y, %m, %d, %H, %M, %S, or `epoch_seconds`
    or `epoch_milliseconds` for a number since 1970. Times without a zone are UTC."""
    joined_by: str | None = Field(default=None, min_length=1, max_length=3)
    """For text: it is a list of texts over there; here they stand in one text with this between them."""
    unordered: bool = False
    """Whether the order of such a list means nothing; the texts are sorted then."""
    item: dict[str, JsonValue] = Field(default={})
    """For a value in the item of a list: what else an item holds that we make."""

    @cached_property
    def place(self) -> Place:
        """The place, read."""
        return place_of(self.wire)

    @cached_property
    def theirs(self) -> Mapping[tuple[type, Code | None], Code]:
        """The code table from their side."""
        return {(type(their), their): our for our, their in self.lookup.items()}

    def shape(self, name: str) -> FieldShape:
        """How the field is read into the column of that name."""
        return FieldShape(
            name=name,
            place=self.place.objects,
            kind=self.kind,
            is_nullable=self.nullable,
            may_miss=self.optional,
            read=None if self._is_plain() else self._reader(),
        )

    def sent(self, value: Value) -> JsonValue:
        """What is sent for a canonical value; `ValueError` says why it cannot be sent, without it."""
        if value is None:
            if not self.nullable:
                raise ValueError("cannot be null")
            return None
        if self.lookup:
            for our, their in self.lookup.items():
                if type(our) is type(value) and our == value:
                    return their
            raise ValueError("has a value that its lookup does not hold")
        if self.as_number:
            return _number_of(value)
        if self.joined_by is not None:
            texts = [text for text in str(value).split(self.joined_by) if text]
            return list(sorted(texts) if self.unordered else texts)
        if self.format is not None:
            return _moment_sent(str(value), self.format, is_date=self.kind == "date")
        return value

    @model_validator(mode="after")
    def _clauses_fit(self) -> HttpField:
        ways = {
            "lookup": bool(self.lookup),
            "as_number": self.as_number,
            "format": self.format is not None,
            "joined_by": self.joined_by is not None,
        }
        used = [name for name, is_used in ways.items() if is_used]
        if len(used) > 1:
            raise ValueError(f"{used[0]} and {used[1]} cannot be had together; leave one out")
        if (self.as_number or self.joined_by is not None) and self.kind != "text":
            raise ValueError(f"{used[0]} is for fields of the kind text")
        if self.format is not None and self.kind not in ("date", "datetime"):
            raise ValueError("format is for fields of the kind date or datetime")
        if len(self.theirs) != len(self.lookup):
            raise ValueError("lookup holds one value of theirs twice; reading could not tell which of ours is meant")
        wanted = {"boolean": bool, "integer": int}.get(self.kind, str)
        if any(type(our) is not wanted for our in self.lookup):
            raise ValueError(f"lookup must have our values of the kind {self.kind} on its left side")
        if self.unlisted == "keep" and self.kind != "text":
            raise ValueError("unlisted: keep is for fields of the kind text")
        if self.item and self.place.pick is None:
            raise ValueError("item is for a place in a list, such as paths[type=email].value")
        return self

    def _is_plain(self) -> bool:
        return not (
            self.lookup
            or self.as_number
            or self.format is not None
            or self.joined_by is not None
            or self.place.pick is not None
        )

    def _reader(self) -> Callable[[Json], Value]:
        pick, may_be_null = self.place.pick, self.nullable or self.optional

        def read(found: Json) -> Value:
            there = picked(found, pick) if pick is not None else found
            if there is None and (type(None), None) not in self.theirs:
                if not may_be_null:
                    raise ValueError("is null, and may not be")
                return None
            return self._value(there)

        return read

    def _value(self, found: Json) -> Value:
        """The canonical value of what stands there, which is not null unless the code table says so."""
        if self.lookup:
            code = found if isinstance(found, str | int) else None
            if (type(found), code) in self.theirs:
                return self.theirs[type(found), code]
            if self.unlisted == "keep" and code is not None:
                return str(code)
            raise ValueError("is a code that lookup does not hold")
        if self.as_number:
            if type(found) is not int:
                raise ValueError(f"is no whole number but a {type(found).__name__}")
            return str(found)
        if self.joined_by is not None:
            return _joined(found, self.joined_by, is_sorted=self.unordered)
        if self.format is not None:
            return _moment_read(found, self.format, is_date=self.kind == "date")
        if type(found) not in _TYPES[self.kind]:
            raise ValueError(f"is no {self.kind} but a {type(found).__name__}")
        if isinstance(found, int | float) and abs(found) > INTEGER_MAX:
            raise ValueError("is a number that no column holds")
        return found  # type: ignore[return-value] # of one of the types above


_TYPES: Mapping[Kind, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "decimal": (int, float),
    "boolean": (bool,),
    "date": (str,),
    "datetime": (str,),
}


def _number_of(value: Value) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and str(int(text)) == text):
        raise ValueError(f"is no whole number of at most {DIGITS_MAX} digits without leading zeros")
    return int(text)


def _joined(found: Json, separator: str, *, is_sorted: bool) -> str:
    if not isinstance(found, list):
        raise ValueError(f"is no list but a {type(found).__name__}")
    texts: list[str] = []
    for text in found:
        if not isinstance(text, str) or not text or separator in text:
            raise ValueError("holds what is no text, is blank or holds the separator")
        texts.append(text)
    return separator.join(sorted(set(texts)) if is_sorted else texts)


def _moment_read(found: Json, form: str, *, is_date: bool) -> str:
    if form in ("epoch_seconds", "epoch_milliseconds"):
        if type(found) is not int:
            raise ValueError(f"is no whole number but a {type(found).__name__}")
        seconds = found / 1000 if form == "epoch_milliseconds" else found
        if not 0 <= seconds <= EPOCH_SECONDS_MAX:
            raise ValueError("is no moment between 1970 and 9999")
        moment = datetime.fromtimestamp(seconds, tz=UTC)
    else:
        if type(found) is not str:
            raise ValueError(f"is no text but a {type(found).__name__}")
        try:
            moment = datetime.strptime(found, form)  # noqa: DTZ007 - what has no zone is UTC, as the clause says
        except ValueError:
            raise ValueError(f"is not written as {form}") from None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.date().isoformat() if is_date else moment.isoformat().replace("+00:00", "Z")


def _moment_sent(text: str, form: str, *, is_date: bool) -> str | int:
    try:
        if is_date:
            day = date.fromisoformat(text)
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is no date or time in ISO 8601") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    match form:
        case "epoch_seconds":
            return int(moment.timestamp())
        case "epoch_milliseconds":
            return int(moment.timestamp() * 1000)
        case _:
            return moment.strftime(form)
