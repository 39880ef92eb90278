"""Prints the reference of the interface language from the model that reads it.

`python -m deploy.documents.interface_language > docs/http-interface.md`; a test keeps the document current. It says
nothing of its own about a clause: the words are the model's.
"""

from __future__ import annotations

import sys

from pydantic import BaseModel

from deploy.documents.clauses import Language
from systems.http.description import HttpInterface
from systems.http.settings import BasicSettings, BearerSettings, HeaderSettings, InterfaceSettings, OauthSettings

_HEAD = """\
# The interface language

Printed from `systems/http/` by `python -m deploy.documents.interface_language > docs/http-interface.md`; do not edit.

A system over HTTP needs no code where an interface document says all that is particular to it. Its folder holds

| file | holds |
|---|---|
| `manifest.yaml` | names, roles and keys of its entities, `family: http` and `interface: http.yaml` |
| `http.yaml` | the interface: one [HttpInterface](#httpinterface) |
| `quality.yaml` | the rules that it keeps, where they are others than the family's; may be missing |
| `README.md` | what is known of the vendor, and from where |

and stands in `systems/`, or in the folder that `AETHER_VENDORS_FOLDER` names. Manifest and interface must name the same
entities; `write_companions` of the manifest must name what the interface makes every change send. What does not fit is
refused with file, line and column. [systems/titanhst](../systems/titanhst/http.yaml) is described so, and
[adding-a-vendor.md](adding-a-vendor.md) goes through one from its beginning."""
_PLACES = """\
## Places

A place says where a value stands in the other side's JSON.

| place | value |
|---|---|
| `email` | the member of that name |
| `name.first` | a member of an object within |
| `paths[type=email].value` | a member of the one item of a list with that member; `11` is a number, `"11"` is text |

Nested objects and lists are built when something is written. A list is always sent whole: a change of one of its values
sends all that are described, and items that are not described are gone then."""
_PROOFS = """\
## What proves that a list was whole

| paging | with a total | without |
|---|---|---|
| `offset_limit`, `page_number` with `ordered_by` | total, order, full pages; can be taken up | as below |
| `none` | total | the one answer itself |
| `offset_limit` | total | each page begins with the last record of the page before, up to one with nothing new |
| `page_number`, `cursor`, `link_header`, `page_header` | total | nothing: removals are never planned from it |"""
_SETTINGS = """\
## Settings of a connection

Beside `base_url`, `timeout_seconds` and `body_bytes_max`, which every system over HTTP has; `parameters` where the
interface declares some. Secrets are references such as `env:NAME`."""
_LANGUAGE = Language(
    patterns={
        r"^(/[^/]+)*$": "JSON pointer",
        r"^/[^?#\s]*$": "path",
        r"^[A-Za-z0-9-]+$": "name of a header",
        r"^[^:\x00-\x1f]+$": "text",
    },
    anything="JsonValue",
)


def render_markdown() -> str:
    """Return docs/http-interface.md."""
    settings = (InterfaceSettings, BasicSettings, HeaderSettings, BearerSettings, OauthSettings)
    return (
        "\n\n".join(
            [
                _HEAD,
                "## Clauses",
                *_LANGUAGE.sections([HttpInterface.model_json_schema()]),
                _PLACES,
                _PROOFS,
                _SETTINGS,
                *(_settings(model) for model in settings),
            ]
        )
        + "\n"
    )


def _settings(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    own = set(model.model_fields) - set(model.__mro__[1].model_fields)  # type: ignore[attr-defined] # all are models
    described = {**schema, "properties": {name: each for name, each in schema["properties"].items() if name in own}}
    return _LANGUAGE.section(model.__name__, described, schema.get("$defs", {}))


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
