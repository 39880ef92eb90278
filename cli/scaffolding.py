"""A new system as a folder of data: manifest, interface, quality and a page of instructions, made from a few answers.

What is made loads and can be read by hand: what the family's code keeps of the rules, it keeps here. It is not trusted
with more: the other rules stand under `lacks` until a person has tried them. What cannot be known (paths, names of
fields) is filled with plausible values that the page tells to correct.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cli.problem import CommandFailed
from shared.ports.discovery import QUALITY_FILE, quality_in
from shared.ports.manifest import Manifest, Role
from shared.ports.quality import RULES, Quality, Tier, missing_for, rules_for, tier_of
from shared.ports.registry import Registry, installed_systems_folder

AUTHS: Final[Mapping[str, str]] = {
    "none": "{kind: none}",
    "basic": "{kind: basic}",
    "header": "{kind: header, name: X-Api-Key}",
    "bearer": "{kind: bearer}",
    "oauth2": "{kind: oauth2_client_credentials, token_path: /oauth/token, send: form}",
}
"""Ways of proving who asks, as they stand in the interface document."""
PAGINGS: Final[Mapping[str, str]] = {
    "none": "{kind: none, items: /items}",
    "offset_limit": (
        "{kind: offset_limit, offset: offset, limit: limit, limit_max: 100, items: /items, total: /total,"
        " ordered_by: first_field}"
    ),
    "page_number": (
        "{kind: page_number, page: page, first: 1, limit: size, limit_max: 100, items: /items, total: /total}"
    ),
    "cursor": "{kind: cursor, cursor: after, next: /next, limit: limit, limit_max: 100, items: /items}",
    "link": '{kind: link_header, limit: limit, limit_max: 100, items: ""}',
    "page_header": "{kind: page_header, page_header: page, pages_header: total-pages, limit: limit, limit_max: 100}",
}
"""Ways in which a list is cut into pages."""
CREDENTIALS: Final[Mapping[str, Sequence[str]]] = {
    "none": (),
    "basic": ("user: reader", "password: env:{NAME}_PASSWORD"),
    "header": ("key: env:{NAME}_READ_KEY",),
    "bearer": ("token: env:{NAME}_READ_TOKEN",),
    "oauth2": ("client_id: reader", "client_secret: env:{NAME}_CLIENT_SECRET"),
}
FAMILY: Final = "http"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Answers:
    """What is asked about a new system."""

    name: str
    auth: str
    paging: str
    is_target: bool


@dataclass(frozen=True)
class Made:
    """What was made, and what is left to do."""

    files: tuple[str, ...]
    tier: str
    red: tuple[str, ...]
    """Rules that are not shown yet, and what the manifest lacks."""

    def document(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


def scaffolded(answers: Answers, folder: Path) -> Made:
    """Make the folder `answers.name` in `folder`, load what was made, and say what is red."""
    _require_known(answers)
    place = folder / answers.name
    if place.exists():
        raise CommandFailed(f"{place} is there already", action="Choose another name, or remove the folder.")
    if not folder.is_dir():
        raise CommandFailed(
            f"{folder} is no folder", action="Name the folder that AETHER_VENDORS_FOLDER names, or make it first."
        )
    files = {
        "manifest.yaml": _manifest(answers),
        "http.yaml": _interface(answers),
        "quality.yaml": _quality(answers),
        "README.md": _page(answers),
    }
    place.mkdir()
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    manifest, quality = checked(answers.name, folder)
    role: Role = "target" if answers.is_target else "source"
    wanted = Tier.GOLD if answers.is_target else Tier.SILVER
    return Made(
        files=tuple(str(place / name) for name in files),
        tier=tier_of(quality, manifest, role=role).title,
        red=tuple(f"{rule}: {_text_of(rule, manifest)}" for rule in missing_for(wanted, quality, manifest)),
    )


def checked(name: str, folder: Path) -> tuple[Manifest, Quality]:
    """Load what stands in the folder, as a program would; the error of a program when it cannot be loaded."""
    installed = installed_systems_folder()
    vendors = None if folder.resolve() == installed else folder
    registry = Registry(installed, vendors_folder=vendors)
    registry.columns()
    return registry.manifest(name), registry.quality(name)


def _require_known(answers: Answers) -> None:
    if _NAME.fullmatch(answers.name) is None:
        raise CommandFailed(
            f"{answers.name!r} is no name of a system", action="Use 1 to 40 of a to z, digits and _, a letter first."
        )
    for what, given, known in (("--auth", answers.auth, AUTHS), ("--paging", answers.paging, PAGINGS)):
        if given not in known:
            raise CommandFailed(f"{what} is {given!r}", action=f"Say one of: {', '.join(known)}.")


def _text_of(rule: str, manifest: Manifest) -> str:
    return next(each.text for each in rules_for(manifest) if each.name == rule)


def _manifest(answers: Answers) -> str:
    roles = "source, target" if answers.is_target else "source"
    return f"""name: {answers.name}
title: {answers.name.replace("_", " ").title()}
summary: People of {answers.name}; correct this sentence.
entities:
  people:
    roles: [{roles}]
    key: external_id
capabilities: [{roles}]
family: http
interface: http.yaml
confirmed_with_vendor: false
"""


def _interface(answers: Answers) -> str:
    writing = """    create: /people
    update: {method: PATCH, path: "/people/{id}"}
    delete: /people/{id}
    suspend: {active: false}
    reactivate: {active: true}
"""
    return f"""# The HTTP interface of {answers.name}, as data. docs/http-interface.md tells every clause.
base_path: /api/v1
auth: {AUTHS[answers.auth]}
paging: {PAGINGS[answers.paging]}
error: {{message: /message, fields: /errors}}
entities:
  people:
    list: /people
    by_id: /people/{{id}}
    by_key: /people/external/{{key}}
{writing if answers.is_target else ""}    key: external_id
    id: target_id
    fields:
      target_id: {{wire: id, kind: text, read_only: true}}
      external_id: {{wire: externalId, kind: text, nullable: true}}
      first_name: {{wire: firstName, kind: text}}
      last_name: {{wire: lastName, kind: text}}
      email: {{wire: email, kind: text, nullable: true}}
      active: {{wire: active, kind: boolean}}
"""


def _quality(answers: Answers) -> str:
    family = quality_in(installed_systems_folder() / FAMILY / QUALITY_FILE)
    asked = [rule.name for rule in RULES if rule.role == "source" or answers.is_target]
    kept = [f"  {rule}: {family.elsewhere[rule]}" for rule in asked if rule in family.elsewhere]
    lacks = [f"  {rule}: {family.lacks[rule]}" for rule in asked if rule in family.lacks]
    return "\n".join(
        (
            "# Rules of shared/ports/quality.py. What the family keeps by itself stands under `elsewhere`; move a rule",
            "# from `lacks` to there when it has been tried, with the file that tells how.",
            *("elsewhere:", *kept, "lacks:", *lacks, ""),
        )
    )


def _page(answers: Answers) -> str:
    settings = "\n".join(f"      {line.format(NAME=answers.name.upper())}" for line in CREDENTIALS[answers.auth])
    return f"""# {answers.name.replace("_", " ").title()}

1. Correct `http.yaml`: base path, lists, names of fields. Every clause is told in docs/http-interface.md.
2. Put a connection into connections.yaml:

```yaml
connections:
  {answers.name}:
    system: {answers.name}
    environment: staging
    settings:
      base_url: https://{answers.name.replace("_", "-")}.example
{settings}
```
3. `aether system check {answers.name}` tries it: network, credential, permission, shape.
4. Below silver it is read by hand only, below gold nothing is written. Try each rule that `quality.yaml` lists under
   `lacks` at a test system of theirs, write down how, and move it to `elsewhere`; `aether system list` shows the tier.
"""
