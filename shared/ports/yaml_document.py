"""Reads one YAML document with the place of everything in it, so that an error can point at line and column.

Used for manifests and connections. It decides nothing about what the document means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from shared.yaml_bounds import BRACKETS_OPEN_MAX, too_deep_at

DOCUMENT_BYTES_MAX = 1024 * 1024
"""A larger file is not one of ours."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document, and where. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class YamlInvalid(Exception):
    """The file is no YAML mapping; translated by the caller into an error of the house."""

    def __init__(self, problem: Problem) -> None:
        self.problems = (problem,)
        super().__init__(str(problem))


def read_yaml(path: Path) -> CommentedMap:
    """The mapping at the top of the file. `YamlInvalid` when it cannot be read; a key given twice is refused."""
    try:
        with path.open("rb") as file:
            content = file.read(DOCUMENT_BYTES_MAX + 1)
    except OSError as problem:
        raise YamlInvalid(Problem(str(path), 1, 1, f"cannot be read: {problem.strerror}; check the path")) from None
    if len(content) > DOCUMENT_BYTES_MAX:
        raise YamlInvalid(Problem(str(path), 1, 1, f"is larger than {DOCUMENT_BYTES_MAX} bytes; check the path"))
    if (place := too_deep_at(content.decode("latin-1"))) is not None:
        text = f"more than {BRACKETS_OPEN_MAX} brackets stand open here; close them, or flatten the document"
        raise YamlInvalid(Problem(str(path), *place, text))
    try:
        document = YAML(typ="rt", pure=True).load(content)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        # The first line of the reason; the rest of ruamel's text is advice to programmers.
        reason = str(problem.problem or problem.context or "is not valid YAML").splitlines()[0]
        raise YamlInvalid(Problem(str(path), line, column, reason)) from None
    except RecursionError:
        raise YamlInvalid(Problem(str(path), 1, 1, "is nested too deep to be read; flatten it")) from None
    except (YAMLError, UnicodeDecodeError) as problem:
        raise YamlInvalid(Problem(str(path), 1, 1, f"is not valid YAML: {type(problem).__name__}")) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        # What the library meets in a value that is not of its own tag or form, such as the date 2026-13-40.
        line, column = _unreadable_at(content)
        text = "the value cannot be read as what it seems to be; put it in quotes or correct it"
        raise YamlInvalid(Problem(str(path), line, column, text)) from None
    if not isinstance(document, CommentedMap):
        raise YamlInvalid(Problem(str(path), 1, 1, "must be a mapping of names to values"))
    return document


def _unreadable_at(content: bytes) -> tuple[int, int]:
    """Line and column of the first value that the library cannot make anything of; 1, 1 when it is none by itself."""
    yaml = YAML(typ="safe", pure=True)
    waiting = [yaml.compose(content)]
    seen: set[int] = set()
    while waiting:  # bounded by DOCUMENT_BYTES_MAX
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            try:
                yaml.constructor.construct_object(node)
            except (ValueError, LookupError, TypeError, AttributeError, YAMLError):
                return node.start_mark.line + 1, node.start_mark.column + 1
        elif isinstance(node, MappingNode):
            waiting.extend(part for pair in reversed(node.value) for part in reversed(pair))
        elif isinstance(node, SequenceNode):
            waiting.extend(reversed(node.value))
    return 1, 1


def position_of(document: CommentedMap, location: Sequence[str | int], *, path: Path | str) -> tuple[str, int, int]:
    """File, line and column of the deepest part of `location` that the document holds."""
    node: object = document
    line, column = 0, 0
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            if part not in (node.lc.data or {}):
                break  # it was merged in from elsewhere (`<<`)
            line, column = node.lc.key(part)
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
        else:
            break
        node = node[part]
    return str(path), line + 1, column + 1
