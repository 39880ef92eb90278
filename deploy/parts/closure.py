"""Which packages each program holds, as the lock says; asked of uv, which made the lock.

Nothing is fetched: `uv export` reads uv.lock, where every file has its hash.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = ("extractor", "differ", "applier", "auditor", "console", "monitor", "tools")
"""Groups of pyproject.toml that become images."""
UV_SECONDS_MAX: Final = 60
_ROW = re.compile(r"^([A-Za-z0-9._-]+==[^\n\\]+)(\\\n\s+--hash=sha256:[0-9a-f]{64})?", re.MULTILINE)


class PartsUnknown(Exception):
    """The lock could not be read; the message says what uv said."""


def normalised(name: str) -> str:
    """A package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def exported(program: str, uv: Path) -> str:
    """The lock's part for one program, as requirements with hashes."""
    command = [str(uv), "export", "--frozen", "--no-default-groups", "--group", program, "--no-emit-project"]
    done = subprocess.run(  # noqa: S603 -- our own tool, our own arguments
        command, cwd=ROOT, capture_output=True, text=True, timeout=UV_SECONDS_MAX, check=False
    )
    if done.returncode != 0:
        raise PartsUnknown(f"uv export of {program} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def parts_of(program: str, uv: Path) -> dict[str, str]:
    """Version by name of every package that the program holds on this platform and Python.

    `PartsUnknown` when one is not pinned by a hash.
    """
    pinned: dict[str, str] = {}
    for row, is_hashed in _ROW.findall(exported(program, uv)):
        requirement = Requirement(row.strip())
        if not is_hashed:
            raise PartsUnknown(f"the lock does not pin {requirement.name} of {program} by its hash")
        if requirement.marker is None or requirement.marker.evaluate():
            pinned[normalised(requirement.name)] = str(requirement.specifier).removeprefix("==")
    if not pinned:
        raise PartsUnknown(f"the lock names no package of {program}")
    return pinned
