"""Run one simulated Aeries: `python -m simulators.aeries_api --state F --certificates-file F`.

Writes its address to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.aeries_api.app import AeriesConfig, create_app
from simulators.aeries_api.certificates import certificates_in
from simulators.aeries_api.switches import AeriesSwitches
from simulators.kit.program import parser_of, run, secret_in
from simulators.kit.staging import Stage


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    return run("aeries_api", _parser().parse_args(arguments), _build)


def _build(options: argparse.Namespace, seed: Any, stage: Stage) -> Starlette:
    return create_app(
        AeriesConfig(
            certificates=certificates_in(secret_in(options.certificates_file)),
            seed=seed,
            virtual_directory=options.virtual_directory,
            switches=AeriesSwitches.model_validate(options.switches),
            stage=stage,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("aeries_api", "Aeries SIS, simulated over HTTP.")
    parser.add_argument(
        "--certificates-file", type=Path, required=True, help="one certificate, or a JSON list with permissions"
    )
    parser.add_argument("--virtual-directory", default="aeries", help="what stands before /api/v5; may be empty")
    return parser


if __name__ == "__main__":
    sys.exit(main())
