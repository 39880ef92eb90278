"""The entry point of every image: runs the image's program, or the module or command that is named.

    start.py                        the program of the image (AETHER_PROGRAM)
    start.py aether ARGUMENTS…      the command line, in the image `tools`
    start.py MODULE ARGUMENTS…      any module of the house that the image holds

There is no shell. It is process 1, to which the kernel delivers only what is asked for: until the program sets its own
answer to SIGTERM, this one ends it.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType

HOUSE = str(Path(__file__).resolve().parents[2])
COMMAND_LINE = "aether"
EXIT_TERMINATED = 128 + signal.SIGTERM


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(EXIT_TERMINATED)


def main(arguments: list[str]) -> None:
    """Run what is asked for in this process."""
    signal.signal(signal.SIGTERM, _end)
    # In place of this file's folder: the house is on the path, and nothing else of it.
    sys.path[0] = HOUSE
    if not arguments:
        arguments = [os.environ["AETHER_PROGRAM"]]
    module, *rest = arguments
    if module == COMMAND_LINE:
        from cli.main import main as command_line

        sys.argv = [COMMAND_LINE, *rest]
        command_line()
        return
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
