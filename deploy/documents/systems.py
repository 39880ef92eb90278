"""The table of systems in README.md, from manifests and quality: `python -m deploy.documents.systems README.md`.

It stands between two marks of the file, which is written anew in place. What `quality.yaml` claims is held against the
results of the conformance suites by tests/conformance/test_quality.py, so the table says what was seen to hold.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from shared.ports.registry import Registry, installed_systems_folder

BEGIN: Final = "<!-- systems: printed by `make documents` -->"
END: Final = "<!-- end of systems -->"
NO_JUDGE: Final = "our simulator only"


def table(registry: Registry) -> str:
    """One row for each system and each group of entities that can be done the same with."""
    lines = ["| system | entities | read | write | tier | judges |", "|---|---|---|---|---|---|"]
    for system in registry.names():
        manifest, quality = registry.manifest(system), registry.quality(system)
        judges = ", ".join(quality.judges) or NO_JUDGE
        by_roles: dict[tuple[str, ...], list[str]] = {}
        for entity, described in manifest.entities.items():
            by_roles.setdefault(tuple(sorted(described.roles)), []).append(entity)
        for roles, entities in sorted(by_roles.items(), reverse=True):
            role = "target" if "target" in roles else "source"
            cells = (
                f"[{system}](systems/{system}/README.md)",
                ", ".join(entities),
                "yes" if "source" in roles else "-",
                "yes" if "target" in roles else "-",
                registry.tier(system, role="target" if role == "target" else "source").title,
                judges,
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text: str, printed: str) -> str:
    """The file's text with the table between its marks; `ValueError` when they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks {BEGIN} and {END} are not in the file")
    return f"{before}{BEGIN}\n{printed}\n{END}{after}"


def main() -> None:
    """Write the table into the file that the command line names."""
    path = Path(sys.argv[1])
    path.write_text(
        with_table(path.read_text(encoding="utf-8"), table(Registry(installed_systems_folder()))), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
