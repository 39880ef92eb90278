"""Run the hostile server: `python -m simulators.hostile --ready-file F`; `--menu` prints the nastinesses instead.

Writes its addresses to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from simulators.hostile.menu import NASTINESSES
from simulators.hostile.server import HostileServer, HostileSwitches
from simulators.kit.lines import replace_atomically


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    options = _parser().parse_args(arguments)
    if options.menu:
        for each in NASTINESSES:
            print(f"{each.name}\t{each.expect}\t{each.resource}\t{each.why}")  # noqa: T201 - what it was asked for
        return 0
    try:
        asyncio.run(_serve(options))
    except (OSError, ValueError) as error:
        print(f"simulators.hostile cannot start: {error}", file=sys.stderr)  # noqa: T201 - a program's own last word
        return 1
    finally:
        if options.ready_file is not None:
            options.ready_file.unlink(missing_ok=True)
    return 0


async def _serve(options: argparse.Namespace) -> None:
    server = HostileServer(switches=HostileSwitches.model_validate(options.switches))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready() -> None:
        if options.ready_file is not None:
            port = urlsplit(server.url).port
            document = {"url": server.url, "port": port, "stranger": server.stranger_url, "pid": os.getpid()}
            replace_atomically(options.ready_file, document)

    await server.serve(host=options.host, port=options.port, ready=ready, stop=stop.wait())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.hostile", description="Answers made to break a client.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the ready file says which")
    parser.add_argument("--ready-file", type=Path, help='gets {"url", "port", "stranger", "pid"} once it listens')
    parser.add_argument("--switches", type=json.loads, default={}, help="switches to begin with, as a JSON object")
    parser.add_argument("--menu", action="store_true", help="print the nastinesses and end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
