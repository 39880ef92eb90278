"""YAML with the place of everything in it: plain values for the model, line and column for the messages.

Reads one text; knows nothing of connectors. What would make a definition mean something else than it seems to (a key
given twice, an alias that repeats another part, a tag) is refused here, each with its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from shared.contract.problems import Problem
from shared.hashing.canonical import INTEGER_MAX
from shared.yaml_bounds import BRACKETS_OPEN_MAX, too_deep_at

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document."""
DEPTH_MAX = 20
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}


@dataclass
class Located:
    """A document with the place of each of its parts."""

    file: str
    value: Any = None
    """Dicts, lists and scalars; None when the text could not be read."""
    problems: list[Problem] = field(default_factory=list)
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column of every value, from 1."""
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column of the key of every value in a mapping."""

    def problem(self, path: Path, text: str, fix: str, *, at_key: bool = False) -> Problem:
        """A problem at the given part, or at the nearest part around it that the document has."""
        line, column = self._place(path, at_key=at_key)
        return Problem(self.file, line, column, text, fix)

    def there(self, path: Path) -> Path:
        """The path without what the document does not have, such as the name that the model gives a variant."""
        there: Path = ()
        for part in path:
            if (*there, part) in self.places:
                there = (*there, part)
        return there

    def _place(self, path: Path, *, at_key: bool) -> tuple[int, int]:
        there = self.there(path)
        if at_key and there in self.keys:
            return self.keys[there]
        return self.places.get(there, (1, 1))


def read_yaml(text: str, file: str) -> Located:
    """The document in a text; `problems` says what could not be accepted, and `value` is then not to be relied on."""
    located = Located(file)
    if (place := too_deep_at(text)) is not None:
        wrong = f"more than {BRACKETS_OPEN_MAX} brackets stand open here"
        located.problems.append(Problem(file, *place, wrong, "close them, or flatten the document"))
        return located
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        what = " ".join(str(error.problem or error.context or "").split())
        located.problems.append(Problem(file, line, column, f"this is not YAML: {what}", "correct the text here"))
        return located
    except RecursionError:  # the reader of YAML goes as deep as the text does
        text = f"the document is nested far more than {DEPTH_MAX} deep"
        located.problems.append(Problem(file, 1, 1, text, "flatten it"))
        return located
    except YAMLError as error:
        what = " ".join(str(error).split())
        located.problems.append(Problem(file, 1, 1, f"this is not YAML: {what}", "save the file as UTF-8 text"))
        return located
    if node is None:
        located.problems.append(Problem(file, 1, 1, "the file is empty", "write the definition"))
        return located
    located.value = _Reader(yaml, located).value(node, ())
    return located


class _Reader:
    """One walk over the nodes of a document."""

    def __init__(self, yaml: Any, located: Located) -> None:
        self._yaml = yaml
        self._located = located
        self._seen: set[int] = set()

    def value(self, node: Node, path: Path) -> Any:
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        self._located.places[path] = place
        if id(node) in self._seen:
            return self._refuse(place, "an alias repeats another part of the document", "write the part out")
        self._seen.add(id(node))
        if len(path) > DEPTH_MAX:
            return self._refuse(place, f"the document is nested more than {DEPTH_MAX} deep", "flatten it")
        if str(node.tag) not in _TAGS:
            return self._refuse(place, f"tag {node.tag} is not part of the language", "write a plain value")
        return self._plain(node, path, place)

    def _plain(self, node: Node, path: Path, place: tuple[int, int]) -> Any:
        match node:
            case MappingNode() if str(node.tag).endswith(":map"):
                return self._mapping(node, path)
            case SequenceNode() if str(node.tag).endswith(":seq"):
                return [self.value(item, (*path, position)) for position, item in enumerate(node.value)]
            case ScalarNode() if not str(node.tag).endswith((":map", ":seq")):
                return self._scalar(node, place)
            case _:
                return self._refuse(place, f"tag {node.tag} stands before another kind of value", "remove the tag")

    def _scalar(self, node: ScalarNode, place: tuple[int, int]) -> Any:
        if not _is_whole(str(node.value)):
            return self._refuse(place, "the text holds half a character", "write the whole character")
        if str(node.tag).endswith((":timestamp", ":str")):
            return node.value  # a date stays the text that was written
        try:
            value = self._yaml.constructor.construct_object(node)
        except (ValueError, LookupError):  # such as a word after `!!int`, or a number of thousands of digits
            kind = str(node.tag).rpartition(":")[2]
            return self._refuse(place, f"the value cannot be read as {kind}", "write a plain value")
        # What has no JSON has no digest either, and a release is known by its digest.
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(place, "the value is no finite number", "write a number or leave it out")
        if isinstance(value, int) and abs(value) > INTEGER_MAX:
            return self._refuse(place, f"the number is beyond {INTEGER_MAX}", "write it as text, in quotes")
        return value

    def _mapping(self, node: MappingNode, path: Path) -> Mapping[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode):
                self._refuse(place, "a key is not a plain name", "write a name")
                continue
            key = str(key_node.value)
            if not _is_whole(key):
                self._refuse(place, "a key holds half a character", "write the whole character")
                continue
            if key in values:
                first = self._located.keys[(*path, key)][0]
                self._refuse(
                    place, f"key {key!r} stands here a second time (first in line {first})", "keep one of them"
                )
                continue
            self._located.keys[(*path, key)] = place
            values[key] = self.value(value_node, (*path, key))
        return values

    def _refuse(self, place: tuple[int, int], text: str, fix: str) -> None:
        self._located.problems.append(Problem(self._located.file, *place, text, fix))


def _is_whole(text: str) -> bool:
    """Whether a text holds no half of a character, which an escape such as `\\ud800` can write and no file can hold."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)
