"""Prints the reference of the figures from their table.

`python -m deploy.documents.figures > docs/figures.md`; a test keeps the document current. It reads the table and
nothing else.
"""

from __future__ import annotations

import sys
from typing import Final

from shared.telemetry.figures import FIGURES, LABELS, Figure

_HEAD: Final = """\
# Figures

Printed from `shared/telemetry/figures.py` by `make documents`; do not edit. Every program serves its figures at
`/metrics` of its admin port, in the text format of Prometheus. Beside these each program gives `process_…` (memory,
processor, open files) and `faststream_…` (messages taken and published, by kind of subject).

Moments are in seconds since 1970 and their names end in `_timestamp_seconds`: how long ago one was is
`time() - aether_…_timestamp_seconds`. A figure that is not known has no sample; it is never 0 for want of a better
one. Figures of runs follow from the auditor's record and not from what a program has seen, so a restart changes none.

A label holds words of our own definitions only: connectors, connections, entities, states, codes, routes, streams.
What is none of these is `other`, and so is whatever comes after two hundred values of one label."""


def render_markdown() -> str:
    """The whole document."""
    services = dict.fromkeys(row.service for row in FIGURES)
    parts = [_HEAD, *(_section(service) for service in services)]
    return "\n\n".join([*parts, f"## Labels\n\n{', '.join(f'`{name}`' for name in sorted(LABELS))}."]) + "\n"


def _section(service: str) -> str:
    title = "Every program" if service == "every" else f"{service[0].upper()}{service[1:]}"
    rows = [_row(figure) for figure in FIGURES if figure.service == service]
    return "\n".join([f"## {title}", "", "| figure | kind | labels | meaning |", "|---|---|---|---|", *rows])


def _row(figure: Figure) -> str:
    labels = ", ".join(f"`{name}`" for name in figure.labels) or "none"
    return f"| `{figure.name}` | {figure.kind} | {labels} | {figure.help} |"


def main() -> None:
    """Print it."""
    sys.stdout.write(render_markdown())


if __name__ == "__main__":
    main()
