"""The CSV files of a bundle: opened from a zip or a folder, read line by line within bounds.

It knows files and lines, and nothing of what their records mean. A bundle of changes only is refused, for what it
leaves out is still there.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from shared.errors import NeedsPerson, StopRun

MANIFEST: Final = "manifest"
MANIFEST_LINES_MAX: Final = 1_000
VERSIONS: Final = ("1.1", "1.2")


class Bundle:
    """One bundle."""

    def __init__(self, path: Path, *, file_bytes_max: int) -> None:
        self._path = path
        self._file_bytes_max = file_bytes_max

    @property
    def proves_its_length(self) -> bool:
        """Whether a file that was cut would be noticed: a zip knows the length and the checksum of each."""
        return not self._path.is_dir()

    def manifest(self) -> dict[str, str]:
        """The properties that the bundle tells of itself; `StopRun` for a version that is not known."""
        found: dict[str, str] = {}
        for number, row in enumerate(self.lines(MANIFEST)):
            if number >= MANIFEST_LINES_MAX:
                raise self._wrong(MANIFEST, f"has more than {MANIFEST_LINES_MAX} lines")
            found[row.get("propertyName", "").strip()] = row.get("value", "").strip()
        version = found.get("oneroster.version", "")
        if version not in VERSIONS:
            raise self._wrong(MANIFEST, f"tells no version of {', '.join(VERSIONS)}")
        return found

    def require_whole(self, name: str, manifest: dict[str, str]) -> None:
        """`StopRun` (SRC_INCOMPLETE) for a file that does not hold everything."""
        told = manifest.get(f"file.{name}", "absent")
        if told != "bulk":
            known = told if told in ("absent", "delta") else "something else"
            raise StopRun(
                "SRC_INCOMPLETE", f"bundle: file.{name} is {known} and must be bulk; export the whole roster", file=name
            )

    def lines(self, name: str) -> Generator[dict[str, str], None, None]:
        """The lines of `name`.csv by their headings; raises at the first line that is not like the first."""
        with self._opened(name) as stream:
            try:
                reader = csv.reader(stream, strict=True)
                headings = next(reader, None)
                if not headings or len(set(headings)) < len(headings):
                    raise self._wrong(name, "has no headings, or one of them twice")
                for row in reader:
                    if not row:
                        continue  # a blank line at the end
                    if len(row) != len(headings):
                        raise self._wrong(name, f"line {reader.line_num} has {len(row)} values, not {len(headings)}")
                    yield dict(zip(headings, row, strict=True))
            except csv.Error:
                raise self._wrong(name, "is no CSV") from None
            except UnicodeDecodeError:
                raise self._wrong(name, "is not in UTF-8") from None
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as problem:
                raise StopRun(
                    "SRC_INCOMPLETE", f"bundle: {name}.csv cannot be read to its end ({type(problem).__name__})"
                ) from None

    @contextmanager
    def _opened(self, name: str) -> Iterator[TextIO]:
        file = f"{name}.csv"
        try:
            if self._path.is_dir():
                place = self._path / file
                self._require_size(name, place.stat().st_size)
                with place.open(encoding="utf-8-sig", newline="") as stream:
                    yield stream
            else:
                with zipfile.ZipFile(self._path) as packed:
                    self._require_size(name, packed.getinfo(file).file_size)
                    with packed.open(file) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:
                        yield stream
        except FileNotFoundError:
            text = f"there is no {file} in it" if self._path.exists() else "it is not there; correct bundle"
            raise NeedsPerson("SRC_CONFIG", f"bundle: {text}") from None
        except KeyError:
            raise NeedsPerson("SRC_CONFIG", f"bundle: there is no {file} at the root of the zip") from None
        except PermissionError:
            raise NeedsPerson("SRC_CONFIG", f"bundle: {file} may not be read; give the right to") from None
        except zipfile.BadZipFile:
            raise NeedsPerson("SRC_CONFIG", "bundle: is neither a folder nor a whole zip; export it anew") from None

    def _require_size(self, name: str, size: int) -> None:
        if size > self._file_bytes_max:
            raise StopRun(
                "SRC_INCOMPLETE",
                f"bundle: {name}.csv has {size} bytes, allowed {self._file_bytes_max} (file_bytes_max)",
            )

    def _wrong(self, name: str, text: str) -> StopRun:
        return StopRun("SRC_WRONG_SHAPE", f"bundle: {name}.csv {text}; export it anew", file=name)
