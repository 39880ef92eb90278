"""Run one drop box: `python -m simulators.sftp --user N --password-file F --state S --ready-file R`.

Writes host, port and host key to the ready file once it listens, and ends cleanly on SIGTERM.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from simulators.kit.journal import ENTRIES_MAX
from simulators.kit.lines import replace_atomically
from simulators.kit.program import secret_in
from simulators.kit.staging import Stage
from simulators.sftp.faults import FAULTS
from simulators.sftp.server import DropBox, RunningSftp, SftpConfig, serve_sftp, standing
from simulators.sftp.switches import SftpSwitches


def main(arguments: list[str] | None = None) -> int:
    """Serve until asked to stop; 0 is a clean end, 1 a refusal to start."""
    options = _parser().parse_args(arguments)
    try:
        with standing(_config(options)) as box:
            box.faults.arm(FAULTS.validate_python(options.faults))
            asyncio.run(_serve(box, options))
    except (OSError, ValueError) as error:
        print(f"simulators.sftp cannot start: {error}", file=sys.stderr)  # noqa: T201 - a program's own last word
        return 1
    finally:
        if options.ready_file is not None:
            options.ready_file.unlink(missing_ok=True)
    return 0


def _config(options: argparse.Namespace) -> SftpConfig:
    keys: list[str] = []
    if options.authorized_keys_file is not None:
        keys = [line for line in options.authorized_keys_file.read_text().splitlines() if line.strip()]
    return SftpConfig(
        user=options.user,
        password=secret_in(options.password_file) if options.password_file is not None else None,
        authorized_keys=keys,
        host_key=options.host_key_file.read_text() if options.host_key_file is not None else None,
        root=options.root,
        seed=json.loads(options.state.read_bytes()) if options.state is not None else {},
        switches=SftpSwitches.model_validate(options.switches),
        stage=Stage(journal_file=options.journal_file, journal_entries_max=options.journal_entries_max),
    )


async def _serve(box: DropBox, options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def ready(server: RunningSftp) -> None:
        if options.ready_file is not None:
            document = {"host": server.host, "port": server.port, "known_hosts": server.known_hosts_line}
            replace_atomically(options.ready_file, document | {"pid": os.getpid()})

    await serve_sftp(box, host=options.host, port=options.port, ready=ready, stop=stop.wait())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators.sftp", description="A vendor's drop box over SFTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the ready file says which")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--authorized-keys-file", type=Path, help="public keys that may enter, a line each")
    parser.add_argument("--host-key-file", type=Path, help="a new key when absent")
    parser.add_argument("--root", type=Path, help="the folder clients see; one of its own when absent")
    parser.add_argument("--state", type=Path, help="the seed as JSON; README.md says of which form")
    parser.add_argument("--ready-file", type=Path, help='gets {"host", "port", "known_hosts", "pid"} once it listens')
    parser.add_argument("--journal-file", type=Path, help="mirrors the journal as JSON lines, and continues it")
    parser.add_argument("--journal-entries-max", type=int, default=ENTRIES_MAX, help="entries kept in memory")
    parser.add_argument("--switches", type=json.loads, default={}, help="switches to begin with, as a JSON object")
    parser.add_argument("--faults", type=json.loads, default=[], help="faults to begin with, as a JSON list")
    return parser


if __name__ == "__main__":
    sys.exit(main())
