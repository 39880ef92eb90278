"""The interface document of a system of files: which file holds which entity, how it is written down, what proves it.

A clause that is not here cannot be said. Pure: reading the document is the registry's work, and what its clauses lead
to is that of `csv_text`, `json_lines`, `reading` and `target`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

TARGET_ID = "target_id"
"""The column that a target has besides its fields. A file gives no ids, so it is the record's key again."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
FileName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .-]*(/[A-Za-z0-9_][A-Za-z0-9_ .-]*)*$", max_length=200)
]
"""Below the connection's folder; no part begins with a dot, so none leads out of it."""
Header = Annotated[str, Field(min_length=1, max_length=200)]
Kind = Literal["text", "integer", "decimal", "boolean", "date", "datetime"]
Encoding = Literal["utf-8", "utf-16", "windows-1252", "iso-8859-1"]


class Part(BaseModel):
    """A clause of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileField(Part):
    """One column: what it is called here and in the file, and how its values are written there."""

    header: Header | None = None
    """The column's name in the file. In JSON Lines, a text that begins with `/` leads into nested objects."""
    spellings: dict[Name, Header] = Field(default={})
    """What it is called in other spellings of the file's names; a connection chooses one."""
    parts: tuple[Name, ...] = Field(default=(), max_length=5)
    """For a column that the file does not have: it is made of these, joined by `/`."""
    kind: Kind = "text"
    """What is not plainly of its kind ends the reading; leave text whatever a contract can judge record by record."""
    optional: bool = False
    """Whether the file may lack the column; it is null then."""
    is_true: tuple[str, ...] = Field(default=("true",), min_length=1)
    """Texts of CSV that mean yes; the first is the one that is written."""
    is_false: tuple[str, ...] = Field(default=("false",), min_length=1)
    """Texts of CSV that mean no; the first is the one that is written."""
    pattern: str | None = Field(default=None, max_length=50)
    """How a date or a time is written, such as `%m/%d/%Y`; ISO 8601 when left out."""

    @model_validator(mode="after")
    def _stands_in_the_file_or_is_made(self) -> FileField:
        if (self.header is None) != bool(self.parts):
            raise ValueError("a field has a header, or parts that it is made of; give one of them")
        if self.parts and (self.kind != "text" or self.spellings or self.optional):
            raise ValueError("a field that is made of others is text, and nothing else is said of it")
        if self.pattern is not None and self.kind not in ("date", "datetime"):
            raise ValueError("pattern is for dates and times")
        return self


class CsvFormat(Part):
    """Values with delimiters; the first line holds the names of the columns."""

    kind: Literal["csv"]
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    encoding: Encoding = "utf-8"
    byte_order_mark: bool = False
    """Whether a UTF-8 file that we make begins with one. One that is there is read past, and kept."""
    line_end: Literal["crlf", "lf"] = "crlf"
    """Of a file that we make; one that is there keeps its own."""
    quote_all: bool = False
    """Whether what we write is put into quotes even where that is not needed."""
    formulas: Literal["refuse", "escape", "keep"] = "refuse"
    """What becomes of a text that a spreadsheet would carry out as a formula; see the README."""


class JsonLinesFormat(Part):
    """One JSON object on each line, in UTF-8."""

    kind: Literal["json_lines"]


class ParquetFormat(Part):
    """Parquet; can be read only."""

    kind: Literal["parquet"]


Format = Annotated[CsvFormat | JsonLinesFormat | ParquetFormat, Field(discriminator="kind")]


class SteadyProof(Part):
    """The file stood unchanged before, during and after the read, and its last line is ended."""

    kind: Literal["steady"]


class TrailerProof(Part):
    """The last row is no record but tells how many there are."""

    kind: Literal["trailer"]
    mark: str = Field(min_length=1, max_length=100)
    """What its first cell holds."""
    count_at: int = Field(ge=2, le=50)
    """Which of its cells holds the number of records, counted from 1."""


class CountFileProof(Part):
    """A second file, written after the first, holds the number of records and nothing else."""

    kind: Literal["count_file"]
    file: str = Field(default="{file}.count", pattern=r"^[A-Za-z0-9_{][A-Za-z0-9_ {}./-]*$", max_length=200)
    """`{file}` stands for the name of the file it is about."""


class Sha256FileProof(Part):
    """A second file, written after the first, holds its SHA-256 in hexadecimal, as `sha256sum` writes it."""

    kind: Literal["sha256_file"]
    file: str = Field(default="{file}.sha256", pattern=r"^[A-Za-z0-9_{][A-Za-z0-9_ {}./-]*$", max_length=200)
    """`{file}` stands for the name of the file it is about."""


class NoProof(Part):
    """Nothing shows that the file is whole; its records are read, and nothing is ever removed because of it."""

    kind: Literal["none"]


Proof = Annotated[SteadyProof | TrailerProof | CountFileProof | Sha256FileProof | NoProof, Field(discriminator="kind")]


class WriteClause(Part):
    """That the file may be rewritten, and how people are suspended in it."""

    suspend: dict[Name, bool | str] = Field(default={})
    """Fields that make a record suspended; without them it can only be deleted, which takes its row out."""
    reactivate: dict[Name, bool | str] = Field(default={})
    """Fields that make it active again."""


class FileEntity(Part):
    """One file and the records in it."""

    file: FileName
    """Its usual name; a connection may give another."""
    format: Format
    fields: dict[Name, FileField] = Field(min_length=1, max_length=500)
    """In the order in which a file that we make has them."""
    key: Name
    """The field that tells records apart."""
    proof: Proof = SteadyProof(kind="steady")
    repeated_keys: Literal["refused", "delivered"] = "refused"
    """Whether two rows of one key end the reading, or are left to the contract, which picks one or quarantines both."""
    stale_after_hours: int | None = Field(default=None, ge=1, le=8_760)
    """A file older than this is not read: whoever exports it has stopped. None: any age will do."""
    write: WriteClause | None = None
    """None: it is only read."""

    @model_validator(mode="after")
    def _names_are_known(self) -> FileEntity:
        if self.key not in self.fields:
            raise ValueError(f"key {self.key} is not among the fields: {', '.join(self.fields)}")
        for name, field in self.fields.items():
            for part in field.parts:
                if part not in self.fields or self.fields[part].parts:
                    raise ValueError(f"field {name}: part {part} is no field that stands in the file")
            if name == TARGET_ID:
                raise ValueError(f"{TARGET_ID} is added by the family; leave it out")
        if self.fields[self.key].kind != "text" or self.fields[self.key].optional:
            raise ValueError(f"key {self.key} must be text, and must stand in the file")
        return self

    @model_validator(mode="after")
    def _headers_are_told_apart(self) -> FileEntity:
        for spelling in (None, *sorted({name for field in self.fields.values() for name in field.spellings})):
            headers = self.headers(spelling)
            if len(set(headers.values())) != len(headers):
                raise ValueError(f"two fields have one header (spelling {spelling or 'as given'})")
        return self

    @model_validator(mode="after")
    def _can_be_rewritten(self) -> FileEntity:
        if isinstance(self.proof, TrailerProof) and not isinstance(self.format, CsvFormat):
            raise ValueError("proof: a trailer belongs to CSV")
        if self.write is None:
            return self
        if isinstance(self.format, ParquetFormat):
            raise ValueError("write: Parquet can only be read: whoever applies has no columnar engine")
        if not isinstance(self.proof, SteadyProof | TrailerProof):
            raise ValueError("write: proof must be steady or trailer, for two files cannot be replaced at once")
        if self.repeated_keys != "refused":
            raise ValueError("write: repeated_keys must be refused, or a change could not tell its record")
        own = {self.key, *self.fields[self.key].parts}
        for name in (*self.write.suspend, *self.write.reactivate):
            if name not in self.fields or name in own or self.fields[name].parts:
                raise ValueError(f"write: {name} is no field that suspending may set")
        if bool(self.write.suspend) != bool(self.write.reactivate):
            raise ValueError("write: suspend and reactivate go together")
        return self

    def headers(self, spelling: str | None) -> dict[str, str]:
        """The headers of the fields that stand in the file, by field, in one spelling."""
        return {
            name: field.header if spelling is None else field.spellings.get(spelling, field.header)
            for name, field in self.fields.items()
            if field.header is not None
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a reading delivers."""
        return tuple(self.fields) if self.write is None else (TARGET_ID, *self.fields)


class FilesInterface(Part):
    """A whole system of files."""

    entities: dict[Name, FileEntity] = Field(min_length=1, max_length=100)
    """By the names that connectors use."""

    @model_validator(mode="after")
    def _files_are_told_apart(self) -> FilesInterface:
        owners: dict[str, str] = {}
        for name, entity in self.entities.items():
            if (other := owners.setdefault(entity.file, name)) != name:
                raise ValueError(f"file {entity.file} belongs to {other} and to {name}; give each its own")
        return self

    @property
    def spellings(self) -> tuple[str, ...]:
        """Names of the other spellings of headers."""
        fields = (field for entity in self.entities.values() for field in entity.fields.values())
        return tuple(sorted({name for field in fields for name in field.spellings}))
