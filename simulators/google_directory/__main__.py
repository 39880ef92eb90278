"""Run one simulated Google account: `python -m simulators.google_directory --state F --account-file F`.

Writes its address to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.google_directory.app import GoogleConfig, create_app
from simulators.google_directory.keys import ServiceAccount
from simulators.google_directory.switches import GoogleSwitches
from simulators.kit.program import parser_of, run
from simulators.kit.staging import Stage


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    parser = parser_of("google_directory", "The Google Directory API, simulated over HTTP.")
    parser.add_argument(
        "--account-file",
        type=Path,
        required=True,
        action="append",
        help="a service account that may get tokens; simulators.google_directory.keys writes one",
    )
    return run("google_directory", parser.parse_args(arguments), _build)


def _build(options: argparse.Namespace, seed: Any, stage: Stage) -> Starlette:
    accounts = tuple(ServiceAccount.from_document(json.loads(file.read_bytes())) for file in options.account_file)
    switches = GoogleSwitches.model_validate(options.switches)
    return create_app(GoogleConfig(seed=seed, accounts=accounts, switches=switches, stage=stage))


if __name__ == "__main__":
    sys.exit(main())
