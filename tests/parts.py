"""`python -m tests.parts [arguments of pytest]`: the whole suite as three processes side by side, for two cores.

One computes (rules, simulators, conformance), one looks at pages and at handlers on a bus, one runs whole houses and
breaks them. They take about as long, and each waits for a third of its time, which is why there are more of them than
cores. Each writes to a file of its own that is printed whole when it has ended, so that nothing is mixed up; the worse
exit code counts. Every folder of tests stands in one part: a new one that does not is refused.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PARTS: Final = {
    "rules": ("unit", "contracts", "tidy", "simulators", "conformance", "systems", "poison", "simulation"),
    "pages and handlers": ("integration", "console"),
    "houses and faults": ("e2e", "faults", "operating"),
}
WITHOUT_TESTS: Final = ("containers", "drill", "soak", "support")
NOTHING_COLLECTED: Final = 5
"""pytest's exit code for a selection that leaves nothing; the other parts may have all of it."""
LINE_SECONDS: Final = 60.0


def main(arguments: Sequence[str]) -> int:
    """Run all parts; 0 when all are green and at least one had tests."""
    folders = {path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
    if unplaced := folders - {*sum(PARTS.values(), ()), *WITHOUT_TESTS}:
        sys.stderr.write(f"tests/parts.py: {', '.join(sorted(unplaced))} stands in no part; name it there\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="aether-tests-") as place:
        began = time.monotonic()
        running = {
            name: (_started(folders, arguments, Path(place, name)), Path(place, name))
            for name, folders in PARTS.items()
        }
        codes: dict[str, int] = {}
        try:
            told_at = began
            while len(codes) < len(running):
                for name, (process, output) in running.items():
                    if name not in codes and process.poll() is not None:
                        codes[name] = process.returncode
                        _print(f"\n===== {name}: exit code {process.returncode}\n")
                        _print(output.read_text(encoding="utf-8", errors="replace"))
                if time.monotonic() - told_at > LINE_SECONDS:
                    told_at = time.monotonic()
                    left = " and ".join(name for name in running if name not in codes)
                    _print(f"{(told_at - began) / 60:4.0f} min: still {left}\n")
                time.sleep(0.2)
        finally:
            for process, _ in running.values():
                process.terminate()
    _print(f"\nthe whole suite: {(time.monotonic() - began) / 60:.1f} min\n")
    if set(codes.values()) == {NOTHING_COLLECTED}:
        return NOTHING_COLLECTED
    return max(0 if code == NOTHING_COLLECTED else abs(code) for code in codes.values())


def _started(folders: Sequence[str], arguments: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    places = [str(HERE / folder) for folder in folders if (HERE / folder).exists()]
    command = [sys.executable, "-m", "pytest", "--durations=15", "--durations-min=1", *arguments, *places]
    with output.open("wb") as file:
        return subprocess.Popen(command, cwd=HERE.parent, stdout=file, stderr=subprocess.STDOUT)


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
