"""`python -m tests.operating.fire.other_release SERVICE FILE`: a service that says it is of the release named in FILE.

While the file is not there it says what it is. It works as every other.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from shared.telemetry import program

_own_release = program.release


def main(service: str, file: Path) -> None:
    """Run the service under that release."""

    def release() -> str:
        return file.read_text(encoding="utf-8").strip() if file.exists() else _own_release()

    with patch.object(program, "release", release):
        import_module(f"services.{service}.app").main()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
