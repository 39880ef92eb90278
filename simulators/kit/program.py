"""The command line that every simulator over HTTP has: where to listen, what to begin with, what to keep."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.kit.journal import ENTRIES_MAX
from simulators.kit.serve import serve
from simulators.kit.staging import Stage


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    """The options that all simulators share; add the vendor's own, such as its credentials."""
    parser = argparse.ArgumentParser(prog=f"python -m simulators.{name}", description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the ready file says which")
    parser.add_argument("--state", type=Path, required=True, help="the seed as JSON; README.md says of which form")
    parser.add_argument("--ready-file", type=Path, help='gets {"url", "port", "pid"} once the simulator listens')
    parser.add_argument("--rate-per-second", type=float, help="no limit when absent")
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--journal-file", type=Path, help="mirrors the journal as JSON lines, and continues it")
    parser.add_argument("--journal-entries-max", type=int, default=ENTRIES_MAX, help="entries kept in memory")
    parser.add_argument("--switches", type=json.loads, default={}, help="switches to begin with, as a JSON object")
    return parser


def run(name: str, options: argparse.Namespace, build: Callable[[argparse.Namespace, Any, Stage], Starlette]) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start. `build` gets options, seed and stage."""
    try:
        stage = Stage(
            journal_file=options.journal_file,
            journal_entries_max=options.journal_entries_max,
            rate_per_second=options.rate_per_second,
            burst=options.burst,
        )
        app = build(options, json.loads(options.state.read_bytes()), stage)
        serve(app, host=options.host, port=options.port, ready_file=options.ready_file)
    except (OSError, ValueError) as error:
        print(f"simulators.{name} cannot start: {error}", file=sys.stderr)  # noqa: T201 - a program's own last word
        return 1
    return 0


def secret_in(path: Path) -> str:
    """The credential that a file holds; `ValueError` when it holds none."""
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError(f"{path} holds no credential")
    return secret
