"""Run one simulated Snipe-IT: `python -m simulators.snipeit --state F --token superuser=F`.

Writes its address to the ready file once it listens, and ends cleanly on SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.kit.program import parser_of, run, secret_in
from simulators.kit.staging import Stage
from simulators.snipeit.access import Rights, Token
from simulators.snipeit.app import SnipeConfig, create_app
from simulators.snipeit.switches import SnipeSwitches


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    return run("snipeit", _parser().parse_args(arguments), _build)


def _build(options: argparse.Namespace, seed: Any, stage: Stage) -> Starlette:
    tokens = tuple(_token(text) for text in options.token)
    switches = SnipeSwitches.model_validate(options.switches)
    return create_app(SnipeConfig(tokens=tokens, seed=seed, switches=switches, stage=stage))


def _token(text: str) -> Token:
    """Read `RIGHTS=FILE` or `RIGHTS=FILE@USER_ID`."""
    rights, _, place = text.partition("=")
    path, _, user_id = place.rpartition("@") if place.rpartition("@")[2].isdecimal() else (place, "", "")
    if rights not in set(Rights) or not path:
        raise ValueError(f"--token {text!r}: RIGHTS=FILE or RIGHTS=FILE@USER_ID, with rights {', '.join(Rights)}")
    return Token(secret=secret_in(Path(path)), rights=Rights(rights), user_id=int(user_id) if user_id else None)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("snipeit", "Snipe-IT, simulated over HTTP.")
    parser.add_argument(
        "--token", action="append", required=True, metavar="RIGHTS=FILE[@USER_ID]", help="once per access token"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
