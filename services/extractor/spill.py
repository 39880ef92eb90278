"""Rows on numbered shelves: in memory while they are few, in a nameless file once they are many.

Acts on the disk and decides nothing: the caller says which shelf a row belongs to. The file has no name in any folder,
is readable by this process alone, and is gone with the process however it ends, because it holds personal data as read.
It stands between the reading of a side and its normalising, and once more between that and the bus.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import polars as pl

from shared.errors import StopRun

BATCH_ROWS = 65_536
"""Rows that are worked on at once, and kept in memory before any goes to the disk."""
SPILL_BYTES_MAX = 64 * 2**30
"""What one side may take on the disk; twenty million wide rows take half of it."""
_NUMBER = "shelf "  # working column; no column of a source or a contract has this name

Numbering = Callable[[pl.DataFrame], pl.Series]
"""The shelf of each row, as whole numbers from 0."""


class SpillFile:
    """The nameless file of one side; made when the first rows need it, removed at the end of the `with`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._places = threading.Lock()
        self.written_bytes = 0
        """Bytes laid down so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, frame: pl.DataFrame) -> tuple[int, int]:
        """Lay a frame down; its place and length for `read`."""
        body = _as_bytes(frame)
        file, place = self._room_for(len(body))
        try:
            done = 0
            while done < len(body):
                done += os.pwrite(file.fileno(), body[done:], place + done)
        except OSError as error:
            raise _no_room(len(body), place, error) from error
        return place, len(body)

    def read(self, place: int, length: int) -> pl.DataFrame:
        """The frame that was laid down there."""
        if self._file is None:
            raise ValueError("nothing was written yet")
        return _of_bytes(os.pread(self._file.fileno(), length, place))

    def _room_for(self, length: int) -> tuple[IO[bytes], int]:
        """A place that is this caller's alone: the sources of a side are read, and laid down, at the same time."""
        with self._places:
            place = self.written_bytes
            if place + length > SPILL_BYTES_MAX:
                raise StopRun(
                    "SYS_SPILL",
                    f"one side takes more than {SPILL_BYTES_MAX} bytes on the disk; read a smaller part of the entity",
                    bytes_max=SPILL_BYTES_MAX,
                )
            if self._file is None:
                try:
                    self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 -- closed in __exit__
                except OSError as error:
                    raise _no_room(length, place, error) from error
            self.written_bytes = place + length
            return self._file, place


@dataclass
class _Chunk:
    """Rows of one shelf in the file."""

    shelf: int
    place: int
    length: int
    rows: int


@dataclass
class Shelves:
    """Rows by shelf. What is put there comes back whole, in no order that is worth anything."""

    file: SpillFile
    number_of: Numbering
    batch_rows: int = BATCH_ROWS
    _waiting: list[pl.DataFrame] = field(default_factory=list)
    """Frames that are in memory, all of the present schema."""
    _waiting_rows: int = 0
    _chunks: list[_Chunk] = field(default_factory=list)
    _schema: pl.Schema | None = None
    _numbered: pl.DataFrame | None = None
    """The waiting rows with their shelf, while nothing new is put."""

    @property
    def schema(self) -> pl.Schema:
        """The columns and types of all that was put: what fits every frame."""
        if self._schema is None:
            raise ValueError("nothing was put on the shelves, not even an empty frame")
        return self._schema

    @property
    def rows(self) -> int:
        """Rows on all shelves."""
        return self._waiting_rows + sum(chunk.rows for chunk in self._chunks)

    @property
    def is_spilled(self) -> bool:
        """Whether any row is on the disk."""
        return bool(self._chunks)

    def put(self, frame: pl.DataFrame) -> None:
        """Keep these rows. Types that differ from earlier ones change all rows to what fits both."""
        fitting = self._fit(frame)
        if fitting.height:
            self._waiting.append(fitting)
            self._waiting_rows += fitting.height
            self._numbered = None
        if self._waiting_rows > self.batch_rows:
            self._spill()

    def rows_by_shelf(self) -> dict[int, int]:
        """How many rows lie on each shelf that has any."""
        counts: dict[int, int] = {}
        for chunk in self._chunks:
            counts[chunk.shelf] = counts.get(chunk.shelf, 0) + chunk.rows
        for shelf, rows in self._with_numbers().get_column(_NUMBER).value_counts().iter_rows():
            counts[shelf] = counts.get(shelf, 0) + rows
        return counts

    def take(self, shelves: Sequence[int]) -> pl.DataFrame:
        """The rows of these shelves as one frame of the schema; they stay where they are."""
        wanted = frozenset(shelves)
        parts = [self._read(chunk) for chunk in self._chunks if chunk.shelf in wanted]
        if self._waiting_rows:
            waiting = self._with_numbers()
            parts.append(waiting.filter(pl.col(_NUMBER).is_in(list(wanted))).drop(_NUMBER))
        if not parts:
            return pl.DataFrame(schema=self.schema)
        return pl.concat(parts, rechunk=True)

    def batches(self) -> Iterator[pl.DataFrame]:
        """All rows, about a batch at a time, whatever their shelf; one empty frame when there are none."""
        gathered: list[pl.DataFrame] = []
        rows = 0
        for chunk in self._chunks:
            gathered.append(self._read(chunk))
            rows += chunk.rows
            if rows >= self.batch_rows:
                yield pl.concat(gathered, rechunk=True)
                gathered, rows = [], 0
        gathered += self._waiting
        yield pl.concat(gathered, rechunk=True) if gathered else pl.DataFrame(schema=self.schema)

    def _fit(self, frame: pl.DataFrame) -> pl.DataFrame:
        if self._schema is None:
            self._schema = frame.schema
        if frame.schema == self._schema:
            return frame
        empty = [pl.DataFrame(schema=self._schema), frame.clear()]
        merged = pl.concat(empty, how="diagonal_relaxed").schema
        if merged != self._schema:
            self._change_to(merged)
        return _cast(frame, merged)

    def _change_to(self, schema: pl.Schema) -> None:
        """All rows in another schema. The shelf of a row may depend on the type, so rows on the disk are laid anew."""
        self._schema = schema
        self._waiting = [_cast(frame, schema) for frame in self._waiting]
        self._numbered = None
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            self._lay_down(_cast(self.file.read(chunk.place, chunk.length), schema))

    def _spill(self) -> None:
        frame = pl.concat(self._waiting, rechunk=True)
        self._waiting, self._waiting_rows, self._numbered = [], 0, None
        self._lay_down(frame)

    def _lay_down(self, frame: pl.DataFrame) -> None:
        """Put the rows in shelf order once and write slices of that: half the price of a frame for each shelf."""
        numbers = self.number_of(frame).to_numpy()
        order = np.argsort(numbers, kind="stable")
        ordered = frame[order]
        shelves, starts = np.unique(numbers[order], return_index=True)
        ends = [*starts[1:].tolist(), frame.height]
        for shelf, start, end in zip(shelves.tolist(), starts.tolist(), ends, strict=True):
            place, length = self.file.write(ordered.slice(start, end - start))
            self._chunks.append(_Chunk(shelf, place, length, end - start))

    def _read(self, chunk: _Chunk) -> pl.DataFrame:
        return self.file.read(chunk.place, chunk.length)

    def _with_numbers(self) -> pl.DataFrame:
        if self._numbered is None:
            frame = pl.concat(self._waiting, rechunk=True) if self._waiting else pl.DataFrame(schema=self.schema)
            self._waiting = [frame] if frame.height else []
            self._numbered = frame.with_columns(self.number_of(frame).cast(pl.UInt32).alias(_NUMBER))
        return self._numbered


def apart(frame: pl.DataFrame) -> pl.DataFrame:
    """A copy that shares no memory: a few rows cut from a large frame keep all of its text in memory otherwise."""
    return _of_bytes(_as_bytes(frame))


def cut(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Only these columns, as far as the frame has them; one without any would forget how many rows it has."""
    kept = [name for name in columns if name in frame.columns]
    return frame.select(kept or frame.columns[:1])


def _as_bytes(frame: pl.DataFrame) -> memoryview:
    # Uncompressed and in the oldest layout: by far the quickest for frames of a thousand rows, and a slice carries
    # only its own text.
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compat_level=pl.CompatLevel.oldest())
    return buffer.getbuffer()


def _of_bytes(body: bytes | memoryview) -> pl.DataFrame:
    return pl.read_ipc_stream(io.BytesIO(body))


def _no_room(length: int, place: int, error: OSError) -> StopRun:
    return StopRun(
        "SYS_SPILL",
        f"{length} bytes cannot be laid down on the disk behind {place} others: {error.strerror}; "
        "give the extractor a folder with more room (AETHER_SPILL_FOLDER)",
        errno=error.errno,
    )


def _cast(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(schema.names()).cast(schema)
