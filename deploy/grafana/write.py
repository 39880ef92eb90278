"""`python -m deploy.grafana.write [FOLDER]`: writes the dashboards as Grafana reads them.

A test keeps deploy/grafana/dashboards current.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from deploy.grafana.boards import DASHBOARDS
from deploy.grafana.building.rendering import render

FOLDER: Final = Path(__file__).parent / "dashboards"


def documents() -> dict[str, str]:
    """The text of every file, by its name."""
    return {f"{dashboard.uid}.json": render(dashboard) for dashboard in DASHBOARDS}


def main(arguments: list[str]) -> int:
    """Write them."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{folder / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
