"""One complete read of one file: brought whole, then handed on page by page.

Nothing of a file is handed on before all of its bytes have come and have been seen to stand still; what its rows show
(a torn line, a key that comes twice, a number of rows that the last one contradicts) ends the reading where it is
found. A reading can be taken up behind any page, by another process too, as long as the file is the same to the byte.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import orjson
import polars as pl

from shared.errors import StopRun
from shared.ports.system import ExpectedRows, Page
from shared.ports.wire import Value
from systems.files.cells import FileWrong
from systems.files.description import TARGET_ID, ParquetFormat
from systems.files.frames import frame_of
from systems.files.layout import Layout
from systems.files.reading_schema import DTYPES
from systems.files.sheet import codec_of
from systems.files.steady import Bringing, Brought, wrong


@dataclass(frozen=True)
class Point:
    """Where a reading was left."""

    sha256: str
    """Of the whole file."""
    number: int
    """Of the last page."""
    rows: int
    """Handed on so far."""

    def text(self) -> str:
        """As a resume point."""
        return f"{self.sha256}:{self.number}:{self.rows}"

    @classmethod
    def of(cls, text: str, *, file: str) -> Point:
        """`StopRun` (SRC_UNSTABLE) for what is no point of ours."""
        parts = text.split(":")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts[1:]):
            raise StopRun("SRC_UNSTABLE", f"file {file}: the point to go on from is none of ours; read it anew")
        return cls(parts[0], int(parts[1]), int(parts[2]))


class FilesReading:
    """See `shared.ports.system.Reading`."""

    def __init__(self, layout: Layout, bringing: Bringing, *, page_rows: int, after: str | None = None) -> None:
        self._layout = layout
        self._bringing = bringing
        self._page_rows = page_rows
        self._after = after
        self._is_started = False
        self._expected: ExpectedRows | None = None
        self._count = 0
        self.unknown_fields: dict[str, int] = {}
        """Names in the file that no field has, and in how many places they came."""

    @property
    def expected(self) -> ExpectedRows | None:
        """After the last page, how many rows there are; None where nothing shows that the file is whole."""
        return self._expected

    def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in the file's order; at least one, which is empty when there are no rows."""
        if self._is_started:
            raise RuntimeError("a reading is iterated once; ask the source for a new one")
        self._is_started = True
        return self._walk()

    async def _walk(self) -> AsyncIterator[Page]:
        file = self._layout.file
        point = None if self._after is None else Point.of(self._after, file=file)
        brought = await self._bringing.bring(self._layout, use="SRC")
        if point is not None and point.sha256 != brought.sha256:
            raise StopRun("SRC_UNSTABLE", f"file {file}: is not what it was when the reading was left; read it anew")
        pages = self._pages(brought)
        while (page := await asyncio.to_thread(self._next, pages)) is not None:
            if point is None or page.number > point.number:
                yield page
        if point is not None and point.rows > self._count:
            raise StopRun("SRC_UNSTABLE", f"file {file}: has fewer rows than were read of it; read it anew")
        told = brought.told_rows
        if told is not None and told != self._count:
            raise StopRun(
                "SRC_INCOMPLETE",
                f"file {file}: {self._count} rows, but {self._layout.side_file} tells {told}",
                file=file,
            )
        self._expected = None if brought.origin is None else ExpectedRows(self._count, brought.origin)

    def _next(self, pages: Iterator[Page]) -> Page | None:
        try:
            return next(pages, None)
        except FileWrong as problem:
            raise wrong(problem, self._layout, use="SRC") from None

    def _pages(self, brought: Brought) -> Iterator[Page]:
        seen: set[Value] = set()
        for number, (frame, lines) in enumerate(self._frames(brought), start=1):
            if not frame.height and number > 1:
                continue  # behind a page that was just full; the walk goes on to what the tail says
            self._count += frame.height
            if self._count > self._layout.rows_max:
                raise FileWrong(f"more than {self._layout.rows_max} rows (rows_max)")
            self._require_new(frame, lines, seen)
            yield Page(
                number=number,
                rows=frame,
                first_cursor=str(lines[0]) if lines else "",
                last_cursor=str(lines[-1]) if lines else "",
                sha256=hashlib.sha256(orjson.dumps(frame.to_dict(as_series=False))).hexdigest(),
                resume_point=Point(brought.sha256, number, self._count).text(),
            )

    def _frames(self, brought: Brought) -> Iterator[tuple[pl.DataFrame, range | list[int]]]:
        """The file's rows with the places where they begin: lines of text, or numbers of rows."""
        described = self._layout.described
        schema = {
            name: DTYPES["text" if name == TARGET_ID else described.fields[name].kind] for name in described.columns
        }
        if brought.content is None:
            yield pl.DataFrame(schema=schema), []
            return
        if isinstance(described.format, ParquetFormat):
            frame, self.unknown_fields = frame_of(self._layout, brought.content)
            for begin in range(0, max(frame.height, 1), self._page_rows):
                page = frame.slice(begin, self._page_rows)
                yield page, range(begin + 1, begin + page.height + 1)
            return
        codec = codec_of(self._layout)
        opened = codec.opened(brought.content)
        self.unknown_fields = opened.unknown
        columns: dict[str, list[Value]] = {name: [] for name in schema}
        lines: list[int] = []
        for row in opened.rows:
            for name, value in codec.record(row).items():
                columns[name].append(value)
            lines.append(row.line)
            if len(lines) == self._page_rows:
                yield pl.DataFrame(columns, schema=schema), lines
                columns, lines = {name: [] for name in schema}, []
        yield pl.DataFrame(columns, schema=schema), lines
        if opened.told_rows is not None and opened.told_rows != self._count:
            raise FileWrong(f"{self._count} rows, but the last one tells {opened.told_rows}", is_torn=True)

    def _require_new(self, frame: pl.DataFrame, lines: range | list[int], seen: set[Value]) -> None:
        described = self._layout.described
        if described.repeated_keys == "delivered":
            return
        for key, line in zip(frame[described.key].to_list(), lines, strict=True):
            if key is not None and key in seen:
                raise FileWrong("has the key of a line before it; see key and repeated_keys", line=line)
            seen.add(key)
