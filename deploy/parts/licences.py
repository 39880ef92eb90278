"""The licence of each part, from its own metadata, and which of them the house may hold.

A licence that is not on the list is refused until a person has read it and put it there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from email.message import Message

ALLOWED: Final = (
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "EPL-2.0", "HPND", "ISC",
    "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0",
    "Unlicense", "Zlib",
)  # fmt: skip
"""SPDX identifiers that a part may be under; those of the LGPL are used as libraries and not changed."""
_CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_WRITTEN: Final = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "gnu lesser general public license v2.1": "LGPL-2.1-or-later",
    "lgplv2+": "LGPL-2.1-or-later",
    "mit license": "MIT",
    "the mit license": "MIT",
}
_READ: Final = {"pyrage": "MIT"}
"""Parts whose metadata says nothing; a person read the licence in the package."""
_WORDS = re.compile(r"[A-Za-z0-9.+-]+")


def licence_of(name: str) -> str:
    """The SPDX expression of an installed package; `unknown` where its metadata does not say."""
    about = cast("Message", metadata.metadata(name))
    if expression := about.get("License-Expression"):
        return str(expression)
    known = [
        _CLASSIFIERS[last]
        for classifier in about.get_all("Classifier") or ()
        if classifier.startswith("License ::") and (last := classifier.rpartition(" :: ")[2]) in _CLASSIFIERS
    ]
    if known:
        return " OR ".join(sorted(set(known)))
    # Some packages put the whole text there; its title is enough.
    written = " ".join((about.get("License") or "").split())[:100]
    if written.lower().startswith("gnu lesser general public license version 2.1"):
        return "LGPL-2.1-or-later"
    if written and is_allowed(written):
        return written
    return _READ.get(name) or _WRITTEN.get(written.lower(), "unknown")


def is_allowed(expression: str) -> bool:
    """Whether every licence that the expression names together may be held; one of several offered is enough."""
    return any(
        all(word in ALLOWED for word in _WORDS.findall(together) if word not in ("AND", "WITH", "LLVM-exception"))
        and _WORDS.search(together) is not None
        for together in expression.split(" OR ")
    )


def render_markdown(parts: Mapping[str, Mapping[str, str]], licences: Mapping[str, str]) -> str:
    """Return docs/licences.md: every part, its licence, and the programs that hold it."""
    holders: dict[str, list[str]] = {}
    for program, packages in parts.items():
        for name in packages:
            holders.setdefault(name, []).append(program)
    lines = [
        "# Parts and licences",
        "",
        "Printed by `make documents` from the lock and the packages' own metadata; do not edit. These are the "
        "packages that images hold; `make sbom` writes a bill of materials (CycloneDX) for each. The console also "
        "holds htmx and its extension for server-sent events (0BSD), as files. NATS, PostgreSQL, Prometheus and "
        "Grafana are images of others, under their own licences.",
        "",
        "| package | licence | in |",
        "|---|---|---|",
    ]
    every = len(parts)
    for name, programs in sorted(holders.items()):
        held = "every program" if len(programs) == every else ", ".join(programs)
        lines.append(f"| {name} | {licences[name]} | {held} |")
    return "\n".join(lines) + "\n"
