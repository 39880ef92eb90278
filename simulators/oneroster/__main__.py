"""Run one simulated OneRoster provider, or write its CSV bundle and end.

`python -m simulators.oneroster --state F --client-id-file F --client-secret-file F` serves;
`python -m simulators.oneroster --state F --write-csv DIR [--csv-version 1.2] [--csv-since TIME]` writes.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.kit.program import parser_of, run, secret_in
from simulators.kit.staging import Stage, utc_now
from simulators.oneroster.app import OneRosterConfig, create_app
from simulators.oneroster.bundle import Bundle, write_bundle
from simulators.oneroster.query import moment_of
from simulators.oneroster.store import Roster
from simulators.oneroster.switches import OneRosterSwitches


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop, or write the bundle; 0 is a clean end, 1 a refusal."""
    options = _parser().parse_args(arguments)
    return run("oneroster", options, _build) if options.write_csv is None else _write(options)


def _write(options: argparse.Namespace) -> int:
    try:
        roster = Roster.from_document(json.loads(options.state.read_bytes()), now=utc_now())
        since = moment_of(options.csv_since) if options.csv_since is not None else None
        if options.csv_since is not None and since is None:
            raise ValueError(f"--csv-since {options.csv_since!r} is no date and no UTC time that ends in Z")
        write_bundle(roster, options.write_csv, Bundle(version=options.csv_version, since=since))
    except (OSError, ValueError) as error:
        print(f"simulators.oneroster cannot write: {error}", file=sys.stderr)  # noqa: T201 - a program's own last word
        return 1
    return 0


def _build(options: argparse.Namespace, seed: Any, stage: Stage) -> Starlette:
    if options.client_id_file is None or options.client_secret_file is None:
        raise ValueError("--client-id-file and --client-secret-file are needed to serve")
    return create_app(
        OneRosterConfig(
            client_id=secret_in(options.client_id_file),
            client_secret=secret_in(options.client_secret_file),
            seed=seed,
            path_prefix=options.path_prefix,
            token_path=options.token_path,
            switches=OneRosterSwitches.model_validate(options.switches),
            stage=stage,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("oneroster", "A OneRoster provider, simulated over HTTP and as CSV bundles.")
    parser.add_argument("--client-id-file", type=Path)
    parser.add_argument("--client-secret-file", type=Path)
    parser.add_argument("--path-prefix", default="", help="stands before the base paths, as behind a proxy")
    parser.add_argument("--token-path", default="", help="a further path that gives tokens of 1.1")
    parser.add_argument("--write-csv", type=Path, help="write a CSV bundle into this folder and end")
    parser.add_argument("--csv-version", choices=("1.1", "1.2"), default="1.1")
    parser.add_argument("--csv-since", help="a delta of what changed after this moment; bulk when absent")
    return parser


if __name__ == "__main__":
    sys.exit(main())
