"""Run one simulated Apex: `python -m simulators.apex --state F --client-id-file F --client-secret-file F`.

Writes its address to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.apex.app import ApexConfig, create_app
from simulators.apex.switches import ApexSwitches
from simulators.kit.program import parser_of, run, secret_in
from simulators.kit.staging import Stage


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    return run("apex", _parser().parse_args(arguments), _build)


def _build(options: argparse.Namespace, seed: Any, stage: Stage) -> Starlette:
    return create_app(
        ApexConfig(
            client_id=secret_in(options.client_id_file),
            client_secret=secret_in(options.client_secret_file),
            seed=seed,
            path_prefix=options.path_prefix,
            switches=ApexSwitches.model_validate(options.switches),
            stage=stage,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("apex", "Apex Learning, simulated over HTTP.")
    parser.add_argument("--client-id-file", type=Path, required=True)
    parser.add_argument("--client-secret-file", type=Path, required=True)
    parser.add_argument("--path-prefix", default="", help="stands before the resources, such as objects")
    return parser


if __name__ == "__main__":
    sys.exit(main())
