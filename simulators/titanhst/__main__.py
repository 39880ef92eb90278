"""Run one simulated TitanHST: `python -m simulators.titanhst --state F --read-token-file F --write-token-file F`.

Writes its address to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import json
import sys
from pathlib import Path

from simulators.kit.journal import ENTRIES_MAX
from simulators.kit.serve import serve
from simulators.titanhst.app import TitanConfig, create_app


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    options = _parser().parse_args(arguments)
    try:
        app = create_app(
            TitanConfig(
                read_token=_token(options.read_token_file),
                write_token=_token(options.write_token_file),
                seed=json.loads(options.state.read_bytes()),
                keep_file=options.keep_file,
                rate_per_second=options.rate_per_second,
                burst=options.burst,
                journal_file=options.journal_file,
                journal_entries_max=options.journal_entries_max,
            )
        )
        serve(app, host=options.host, port=options.port, ready_file=options.ready_file)
    except (OSError, ValueError) as error:
        print(f"simulators.titanhst cannot start: {error}", file=sys.stderr)  # noqa: T201 - a program's own last word
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.titanhst", description="TitanHST, simulated over HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the ready file says which")
    parser.add_argument("--state", type=Path, required=True, help="the seed: roles, locations and contacts as JSON")
    parser.add_argument(
        "--keep-file", type=Path, help="keeps the state over restarts; wins over --state once it exists"
    )
    parser.add_argument("--read-token-file", type=Path, required=True)
    parser.add_argument("--write-token-file", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, help='gets {"url", "port", "pid"} once the simulator listens')
    parser.add_argument("--rate-per-second", type=float, help="no limit when absent")
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--journal-file", type=Path, help="mirrors the journal as JSON lines, and continues it")
    parser.add_argument("--journal-entries-max", type=int, default=ENTRIES_MAX, help="entries kept in memory")
    return parser


def _token(path: Path) -> str:
    token = path.read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"{path} holds no token")
    return token


if __name__ == "__main__":
    sys.exit(main())
