"""Run one simulated Klaxon Alerts: `python -m simulators.alerts --state F --client-id N --client-secret-file F …`.

Writes its address to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.alerts.app import AlertsConfig, create_app
from simulators.alerts.switches import AlertsSwitches
from simulators.kit.program import parser_of, run, secret_in
from simulators.kit.staging import Stage


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    return run("alerts", _parser().parse_args(arguments), _build)


def _build(options: argparse.Namespace, seed: Any, stage: Stage) -> Starlette:
    return create_app(
        AlertsConfig(
            client_id=options.client_id,
            client_secret=secret_in(options.client_secret_file),
            api_key=secret_in(options.api_key_file),
            bearer_token=secret_in(options.bearer_token_file),
            seed=seed,
            switches=AlertsSwitches.model_validate(options.switches),
            stage=stage,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("alerts", "Klaxon Alerts, a fictitious notification vendor, over HTTP.")
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret-file", type=Path, required=True)
    parser.add_argument("--api-key-file", type=Path, required=True)
    parser.add_argument("--bearer-token-file", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
