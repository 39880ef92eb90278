"""All measurements one after another: `python -m bench [--quick] [--out FOLDER]`.

Each part runs in a process of its own, prints its table, and leaves its numbers as JSON in the folder; `machine.json`
beside them says what they were measured on. A part that fails is told and the rest goes on; the exit code is then 1.
Times on a machine that does something else as well say little: what counts is how we stand beside the peers that were
measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(".aether/bench")

PARTS: dict[str, tuple[list[str], list[str]]] = {
    "normalise": (["--rows", "1000000"], ["--rows", "100000"]),
    "diff": (["--rows", "10000", "100000", "1000000"], ["--rows", "10000", "100000", "--repeat", "1"]),
    "plan": (["--changes", "50000"], ["--changes", "5000"]),
    "extract": (["--rows", "1000000"], ["--rows", "100000"]),
    "apply": (["--changes", "400"], ["--changes", "200", "--free-changes", "1000"]),
    "road": (["--staff", "1000000"], ["--staff", "2400"]),
}
"""Arguments of each part, in full and for `--quick`."""


def main() -> int:
    """Measure every part; 0 when all came to an end."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, a few minutes")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "machine.json").write_text(json.dumps(_machine(), indent=2) + "\n", encoding="utf-8")
    failed = [part for part in options.only if not _measured(part, out=out, is_quick=options.quick)]
    print(f"\nnumbers as JSON: {out}")
    if failed:
        print(f"not measured to the end: {', '.join(failed)}")
    return 1 if failed else 0


def _measured(part: str, *, out: Path, is_quick: bool) -> bool:
    full, quick = PARTS[part]
    print(f"\n=== {part} ===", flush=True)
    command = [
        sys.executable,
        "-m",
        f"bench.{part}",
        *(quick if is_quick else full),
        "--json",
        str(out / f"{part}.json"),
    ]
    return subprocess.run(command, check=False).returncode == 0


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "cpus": os.cpu_count(),
        "memory_mb": memory,
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("polars", "numpy", "pydantic", "orjson", "nats-py")},
    }


if __name__ == "__main__":
    sys.exit(main())
