"""`python -m simulators.tds`: serves a folder of databases over TDS, and its control plane over HTTP, until stopped."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from simulators.kit.lines import replace_atomically
from simulators.kit.serve import serving
from simulators.tds.control import control_app
from simulators.tds.house import TdsSwitches
from simulators.tds.server import TdsConfig, serving_tds


def main(arguments: list[str] | None = None) -> int:
    """Serve as the command line says; 0 is a clean end, 1 a refusal to start."""
    parser = argparse.ArgumentParser(prog="python -m simulators.tds", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the ready file says which")
    parser.add_argument("--state", type=Path, help="a seed as JSON; README.md says of which form")
    parser.add_argument("--store", type=Path, help="folder of the databases; with --state they are made there")
    parser.add_argument("--schema", type=Path, help="the schema, when it is not schema.json in the folder")
    parser.add_argument("--ready-file", type=Path, help="gets host, port, pid and control_url once clients can connect")
    parser.add_argument("--switches", type=json.loads, default={}, help="switches to begin with, as a JSON object")
    options = parser.parse_args(arguments)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    try:
        config = TdsConfig(
            seed=json.loads(options.state.read_bytes()) if options.state is not None else None,
            store=options.store,
            schema_file=options.schema,
            host=options.host,
            port=options.port,
            switches=TdsSwitches.model_validate(options.switches),
        )
        with serving_tds(config) as server, serving(control_app(server.house)) as control_url:
            if options.ready_file is not None:
                address = {"host": server.host, "port": server.port, "pid": os.getpid(), "control_url": control_url}
                replace_atomically(options.ready_file, address)
            try:
                stopping.wait()
            finally:
                if options.ready_file is not None:
                    options.ready_file.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulators.tds cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
