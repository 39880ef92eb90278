"""Puts a verb's result on stdout: one JSON document, or the same for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPE_COLUMNS = 200
"""Width when stdout is no terminal: wide enough that a digest and its command stay on one line."""


def console(*, is_error: bool = False) -> Console:
    """A console on stdout, or on stderr for progress."""
    from rich.console import Console

    stream = sys.stderr if is_error else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPE_COLUMNS, highlight=False, emoji=False)


def show(document: Mapping[str, object], lines: Iterable[RenderableType], *, is_json: bool) -> None:
    """Print the document when JSON was asked for, the lines otherwise."""
    if is_json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    target = console()
    for line in lines:
        # Text may hold brackets that are not ours, such as a value or a reason; none of it is markup.
        target.print(line, soft_wrap=isinstance(line, str), markup=False)
