"""The forms in which SOPS writes a file: YAML, JSON, dotenv, and JSON around the content of any other file.

A file becomes a tree of names and values as they stand there, still encrypted; nothing is decrypted here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.secrets.age import Unreadable
from shared.yaml_bounds import BRACKETS_OPEN_MAX, too_deep_at

METADATA: Final = "sops"
"""Under this name lies what SOPS says of the file."""
BINARY_KEY: Final = "data"
"""Under this name lies the whole content of a file that SOPS has encrypted as it is."""


def tree_in(path: Path, content: bytes) -> tuple[dict[str, Any], bool]:
    """The tree of a file, and whether it stands for a whole file."""
    suffix = path.suffix.lower()
    if suffix == ".ini":
        raise Unreadable("is an INI file, which is not read here; encrypt YAML, JSON or dotenv")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("is no text, so SOPS has not written it") from None
    if suffix in (".yaml", ".yml"):
        return _yaml(text), False
    if suffix == ".env":
        return _dotenv(text), False
    tree = _json(content)
    return tree, suffix != ".json" and set(tree) == {BINARY_KEY, METADATA}


def _yaml(text: str) -> dict[str, Any]:
    yaml = YAML(typ="safe", pure=True)
    if too_deep_at(text) is not None:
        raise Unreadable(f"has more than {BRACKETS_OPEN_MAX} brackets open at once")
    try:
        documents = list(yaml.load_all(text))
    except (YAMLError, ValueError, RecursionError):
        raise Unreadable("is no YAML") from None
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise Unreadable("is not one YAML document with names and values")
    return documents[0]


def _json(content: bytes) -> dict[str, Any]:
    try:
        tree = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Unreadable("is no JSON (what does not end in .yaml, .yml or .env is read as JSON)") from None
    if not isinstance(tree, dict):
        raise Unreadable("is no JSON object")
    return tree


def _dotenv(text: str) -> dict[str, Any]:
    """Names and values; the metadata of SOPS, which is flat there, comes back as a tree."""
    found: dict[str, Any] = {}
    flat: dict[str, str] = {}
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign:
            raise Unreadable("has a line that is no NAME=value")
        into = flat if name.startswith(f"{METADATA}_") else found
        if name in into:
            raise Unreadable("has a name twice")
        into[name] = value.replace("\\n", "\n")
    if flat:
        found[METADATA] = _unflattened(flat)
    return found


def _unflattened(flat: Mapping[str, str]) -> dict[str, Any]:
    """What matters of `sops_age__list_0__map_recipient` and its like."""
    tree: dict[str, Any] = {}
    age: dict[int, dict[str, str]] = {}
    for name, value in flat.items():
        plain = name.removeprefix(f"{METADATA}_")
        place = re.fullmatch(r"age__list_(\d{1,4})__map_(\w+)", plain)
        if place is not None:
            age.setdefault(int(place[1]), {})[place[2]] = value
        elif "__list_" in plain:
            tree[plain.partition("__list_")[0]] = [{}]
        else:
            tree[plain] = value
    if age:
        tree["age"] = [age[place] for place in sorted(age)]
    return tree
