"""Registered transforms: reviewed Python files that turn one text into another, for what steps cannot say.

A file `transforms/<name>.py` defines `VERSION`, `EXAMPLES` and `transform(text) -> str | None`. It is executed when a
definition names it, from the very bytes whose SHA-256 enters the release digest, and its examples are checked then. It
may import nothing that reads a clock, a file or another file of ours: its text alone decides what it does. This is
review made easy, not a wall against an enemy: who may write here may run code.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import cast

from shared.contract.problems import Problem

TRANSFORM_BYTES_MAX = 65_536
EXAMPLES_MAX = 500
LOADED_MAX = 256
"""Transforms kept at once; of an older one a second state would be made when it is named again."""
MODULES_ALLOWED = frozenset(
    {"__future__", "collections", "datetime", "decimal", "functools", "itertools", "math", "re", "string", "types"}
    | {"typing", "unicodedata"}
)
"""What a transform may import. Nothing here reads a file or the environment; the calls that ask a clock are refused."""
CALLS_REFUSED = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "globals", "input", "open", "print", "setattr", "vars"}
)
CLOCKS_REFUSED = frozenset({"now", "today", "utcnow"})


@dataclass(frozen=True)
class Transform:
    """A registered transform, ready to be called."""

    name: str
    version: int
    """`VERSION` of the file, for people; what counts is `sha256`."""
    sha256: str
    """Over the bytes of the file, as 64 hexadecimal digits."""
    source: str
    """The file's text."""
    function: Callable[[str], str | None]

    def __call__(self, text: str) -> str | None:
        """The text that this one becomes, None for no value; `ValueError` when the text cannot be one."""
        return self.function(text)


def installed_transforms_folder() -> Path:
    """The folder `transforms/` that stands beside `connectors/`."""
    return Path(__file__).resolve().parents[2] / "transforms"


def read_transform(folder: Path, name: str) -> tuple[Transform | None, list[Problem]]:
    """The transform of that name and what is wrong with it; neither when there is no such file."""
    path, file = folder / f"{name}.py", f"transforms/{name}.py"
    if not path.is_file():
        return None, []
    if (size := path.stat().st_size) > TRANSFORM_BYTES_MAX:
        text = f"the file has {size} bytes, allowed {TRANSFORM_BYTES_MAX}"
        return None, [_problem(file, 1, text, "move long lists into mapping tables")]
    return transform_of(name, path.read_bytes(), file=file)


def transform_of(name: str, content: bytes, *, file: str) -> tuple[Transform | None, list[Problem]]:
    """The transform that these bytes are; the same bytes give the same module, however often they are loaded."""
    try:
        source = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [_problem(file, 1, f"byte {error.start} is not UTF-8", "save the file as UTF-8 text")]
    try:
        tree = ast.parse(content, filename=file)
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", None) or 1, getattr(error, "offset", None) or 1
        return None, [_problem(file, line, f"this is not Python: {error.args[0]}", column=column)]
    problems = [
        _problem(file, node.lineno, text, "take it out; its own text alone decides", column=node.col_offset + 1)
        for node, text in _reaches_outside(tree)
    ]
    if problems:
        return None, problems
    try:
        module = _module(name, content)
    except Exception as error:  # noqa: BLE001 - whatever the file raises while it is executed is its fault
        return None, [_problem(file, _line_of(error, file), f"loading it fails: {type(error).__name__}: {error}")]
    if (fault := _shape_fault(module)) is not None:
        return None, [_problem(file, 1, fault)]
    function = cast(Callable[[str], str | None], module.transform)
    transform = Transform(name, module.VERSION, hashlib.sha256(content).hexdigest(), source, function)
    failures = [_problem(file, _line_of_examples(tree), text) for text in _example_failures(module)]
    return (None, failures) if failures else (transform, [])


@lru_cache(maxsize=LOADED_MAX)
def _module(name: str, content: bytes) -> ModuleType:
    """The module of these bytes. It is in no list of modules, so nothing else can import or replace it."""
    module = ModuleType(f"transforms.{name}")
    exec(compile(content, f"transforms/{name}.py", "exec"), vars(module))  # noqa: S102 - reviewed code is what it is for
    return module


def _problem(file: str, line: int, text: str, fix: str = "correct the transform", *, column: int = 1) -> Problem:
    return Problem(file, line, column, text, fix, code="CTR_TRANSFORM")


def _reaches_outside(tree: ast.Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if alias.name.partition(".")[0] not in MODULES_ALLOWED:
                        yield node, f"it imports {alias.name}"
            case ast.ImportFrom(module=module, level=level):
                if level or (module or "").partition(".")[0] not in MODULES_ALLOWED:
                    yield node, f"it imports {'.' * level}{module or ''}"
            case ast.Call(func=ast.Name(id=called)) if called in CALLS_REFUSED:
                yield node, f"it calls {called}()"
            case ast.Call(func=ast.Attribute(attr=called)) if called in CLOCKS_REFUSED:
                yield node, f"it asks a clock with {called}()"
            case ast.Attribute(attr=attribute) if attribute.startswith("__"):
                yield node, f"it reaches for {attribute}"
            case _:
                continue


def _shape_fault(module: ModuleType) -> str | None:
    """What `VERSION`, `EXAMPLES` or `transform` is not."""
    version, examples = getattr(module, "VERSION", None), getattr(module, "EXAMPLES", None)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        return "VERSION is no whole number of 1 or more"
    if not callable(getattr(module, "transform", None)):
        return "it defines no function transform(text)"
    if not isinstance(examples, tuple) or not 1 <= len(examples) <= EXAMPLES_MAX:
        return f"EXAMPLES is no tuple of 1 to {EXAMPLES_MAX} pairs"
    for place, pair in enumerate(examples):
        is_pair = isinstance(pair, tuple) and len(pair) == 2
        if not is_pair or not isinstance(pair[0], str) or not isinstance(pair[1], str | None):
            return f"EXAMPLES[{place}] is no pair of a text and the text, or None, that it becomes"
    return None


def _example_failures(module: ModuleType) -> Iterator[str]:
    for text, wanted in module.EXAMPLES:
        try:
            found = module.transform(text)
        except Exception as error:  # noqa: BLE001 - whatever it raises, the example does not hold
            yield f"example {text!r} should become {wanted!r} and raises {type(error).__name__}: {error}"
            continue
        if found != wanted or not isinstance(found, str | None):
            yield f"example {text!r} should become {wanted!r} and becomes {found!r}"


def _line_of_examples(tree: ast.Module) -> int:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "EXAMPLES" for target in targets):
            return node.lineno
    return 1


def _line_of(error: Exception, file: str) -> int:
    """The last line of the file that the error passed through."""
    line, traceback = 1, error.__traceback__
    while traceback is not None:  # bounded by Python's call depth
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
