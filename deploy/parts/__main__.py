"""`python -m deploy.parts sbom FOLDER` and `python -m deploy.parts licences`: what the images hold."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from deploy.parts.closure import PROGRAMS, ROOT, PartsUnknown, normalised, parts_of
from deploy.parts.licences import is_allowed, licence_of, render_markdown

BOM_SECONDS_MAX: Final = 120
UV: Final = ROOT / ".tools" / "uv" / "bin" / "uv"


def main() -> int:
    """Do what the command line says; 0 when it is done."""
    parser = argparse.ArgumentParser(prog="python -m deploy.parts", description=__doc__)
    parser.add_argument("--uv", type=Path, default=UV, help="the uv that reads the lock")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("licences", help="print docs/licences.md; 1 when a licence is not on the list")
    sbom = verbs.add_parser("sbom", help="write a bill of materials for each program")
    sbom.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    try:
        parts = {program: parts_of(program, chosen.uv) for program in PROGRAMS}
    except (PartsUnknown, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    if chosen.verb == "licences":
        return _licences(parts)
    whole = environment_bom()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for program, packages in parts.items():
        path = chosen.folder / f"{program}.cdx.json"
        path.write_text(json.dumps(bom_of(whole, program, packages), indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"{path}: {len(packages)} packages\n")
    return 0


def _licences(parts: dict[str, dict[str, str]]) -> int:
    names = {name for packages in parts.values() for name in packages}
    licences = {name: licence_of(name) for name in names}
    sys.stdout.write(render_markdown(parts, licences))
    refused = sorted(f"{name} ({text})" for name, text in licences.items() if not is_allowed(text))
    if refused:
        sys.stderr.write(f"not on the list of licences: {', '.join(refused)}\n")
    return 1 if refused else 0


def environment_bom() -> dict[str, Any]:
    """The bill of materials of everything that is installed here, as cyclonedx-py writes it."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--sv", "1.6", "--of", "JSON", sys.executable]
    done = subprocess.run(  # noqa: S603 -- our own tool, our own arguments
        command, capture_output=True, text=True, timeout=BOM_SECONDS_MAX, check=True, cwd=ROOT
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def bom_of(whole: dict[str, Any], program: str, packages: dict[str, str]) -> dict[str, Any]:
    """The part of the whole that one program holds; KeyError for a package that is not installed as locked."""
    by_name = {normalised(one["name"]): one for one in whole["components"]}
    chosen = [by_name[name] for name in sorted(packages)]
    for one, version in zip(chosen, (packages[name] for name in sorted(packages)), strict=True):
        if one["version"] != version:
            raise KeyError(f"{one['name']} is installed as {one['version']} and locked as {version}")
    references = {one["bom-ref"] for one in chosen}
    root = f"aether-{program}"
    depending = [
        {**row, "dependsOn": [one for one in row.get("dependsOn", ()) if one in references]}
        for row in whole["dependencies"]
        if row["ref"] in references
    ]
    return {
        **{key: whole[key] for key in ("$schema", "bomFormat", "specVersion", "version")},
        "metadata": {
            **{key: value for key, value in whole["metadata"].items() if key not in ("component", "timestamp")},
            "component": {"type": "application", "name": root, "bom-ref": root},
        },
        "components": chosen,
        "dependencies": [{"ref": root, "dependsOn": sorted(references)}, *depending],
    }


if __name__ == "__main__":
    sys.exit(main())
