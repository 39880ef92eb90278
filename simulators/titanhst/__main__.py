"""Run one simulated TitanHST: `python -m simulators.titanhst --state F --read-token-file F --write-token-file F`.

Writes its address to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.kit.program import parser_of, run, secret_in
from simulators.kit.staging import Stage
from simulators.titanhst.app import TitanConfig, create_app


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    return run("titanhst", _parser().parse_args(arguments), _build)


def _build(options: argparse.Namespace, seed: Any, stage: Stage) -> Starlette:
    def tokens_now() -> tuple[str, str]:
        return secret_in(options.read_token_file), secret_in(options.write_token_file)

    read_token, write_token = tokens_now()
    return create_app(
        TitanConfig(
            read_token=read_token,
            write_token=write_token,
            tokens_now=tokens_now,
            seed=seed,
            keep_file=options.keep_file,
            stage=stage,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("titanhst", "TitanHST, simulated over HTTP.")
    parser.add_argument(
        "--keep-file", type=Path, help="keeps the state over restarts; wins over --state once it exists"
    )
    parser.add_argument("--read-token-file", type=Path, required=True)
    parser.add_argument("--write-token-file", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
