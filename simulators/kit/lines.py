"""A file of JSON lines that is only ever appended to and survives the death of its process.

Each line is handed to the operating system before the caller goes on, so a killed simulator loses nothing it has
answered for; a power cut may. A last line without its newline was being written when the process died: it is cut off.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


class LineFile:
    """One open JSON-lines file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the lines written so far; a torn last line is removed from the file."""
        if not self.path.exists():
            return
        intact_bytes = 0
        with self.path.open("rb+") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    file.truncate(intact_bytes)
                    return
                try:
                    value = json.loads(line)
                except ValueError as error:
                    raise ValueError(f"{self.path} line {number} is not JSON: {error}; remove the file") from error
                if not isinstance(value, dict):
                    raise ValueError(f"{self.path} line {number} is not a JSON object; remove the file")
                intact_bytes += len(line)
                yield value

    def append(self, value: dict[str, Any]) -> None:
        """Add one line."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
        self._file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def replace(self, first: dict[str, Any]) -> None:
        """Start the file afresh with one line, atomically."""
        self.close()
        replace_atomically(self.path, first)

    def close(self) -> None:
        """Let go of the file; a later append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def replace_atomically(path: Path, value: dict[str, Any]) -> None:
    """Write one JSON line to a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.writing")
    beside.write_bytes(json.dumps(value, separators=(",", ":")).encode() + b"\n")
    beside.replace(path)
