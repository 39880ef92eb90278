"""What a document names exists: links, files, modules, types, functions, commands, targets of make, settings."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from cli.main import app
from shared.settings import ServiceSettings
from tests.tidy.tree import ROOT, documents, files, python_files, shown

LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^(`{3,})[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
INLINE: Final = re.compile(r"`([^`\n]+)`")
FILE: Final = re.compile(r"[\w.*-]*(?:/[\w.*-]+)*\.(?:py|md|yaml|csv|json|svg|toml|lock|db|sql)|(?:[\w.-]+/)+")
MODULE: Final = re.compile(r"(?:cli|services|shared|simulators|systems|bench|tests)(?:\.\w+)+")
TYPE: Final = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")
NAME: Final = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
CODE: Final = re.compile(r"[A-Z]{3}_[A-Z_]+")
SETTING: Final = re.compile(r"AETHER_[A-Z_]+")
FOREIGN: Final = {"AsgiFastStream": "faststream.asgi"}
"""Types of libraries that a document speaks of although the code does not use them."""
PRINTED: Final = {"docs/bus.md"}
"""Written by a program from the very table that it would be compared with."""


def prose(text: str) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", text)


def spans(text: str) -> Iterator[str]:
    yield from INLINE.findall(prose(text))


def typed_commands(text: str) -> Iterator[str]:
    """Command lines of a document: in blocks and between backticks."""
    for _, block in FENCE.findall(text):
        for line in block.splitlines():
            yield line.removeprefix("$ ").strip()
    yield from spans(text)


@cache
def defined_names() -> frozenset[str]:
    """Every name that the code defines or gives to a parameter, field or column."""
    found: set[str] = set()
    for path in python_files():
        if path.parent == Path(__file__).parent:
            continue  # what is named here to show that it does not exist
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.alias):
                found.add((node.asname or node.name).rpartition(".")[2])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"\w+", node.value))
                found.update(re.findall(r"[\w-]+(?:\.[\w-]+)+", node.value))  # names of files that programs write
    for path in files():
        if path.suffix in {".yaml", ".csv", ".toml"} or path.name == "Makefile":
            found.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return frozenset(found)


def is_file(name: str, beside: Path) -> bool:
    """Whether some file of the project fits a name: from its root, beside the document, or by its bare name."""
    if "/" not in name:
        return any(path.match(name) for path in files()) or name in defined_names()
    return any(True for base in (ROOT, beside.parent) for _ in base.glob(name.rstrip("/")))


def module_fault(dotted: str) -> str | None:
    """What is wrong with `package.module` or `package.module.Name`."""
    place = ROOT / dotted.replace(".", "/")
    if place.is_dir() or place.with_suffix(".py").is_file():
        return None
    module, _, name = dotted.rpartition(".")
    if not (ROOT / module.replace(".", "/")).with_suffix(".py").is_file():
        return f"there is no module {dotted}"
    return None if hasattr(importlib.import_module(module), name) else f"{module} has no {name}"


def fault_of(span: str, beside: Path) -> str | None:
    """What is wrong with one piece of code in a sentence; None when nothing is, or nothing can be said."""
    if MODULE.fullmatch(span):
        return module_fault(span)
    if FILE.fullmatch(span) and not span.startswith("/"):
        return None if is_file(span, beside) else f"there is no file {span}"
    if CODE.fullmatch(span) or SETTING.fullmatch(span):
        return None
    bare = span.removesuffix("()")
    if bare in FOREIGN:
        return None if hasattr(importlib.import_module(FOREIGN[bare]), bare) else f"{FOREIGN[bare]} has no {bare}"
    if (TYPE.fullmatch(bare) or NAME.fullmatch(bare)) and bare not in defined_names():
        return f"the code has no {bare}"
    return None


def command_fault(line: str) -> str | None:
    """What is wrong with a command line that begins with `aether`, `make` or `python -m`."""
    words = shlex.split(line, comments=True) if not set(line) & set("'\"<>|…{}") else line.replace('"', " ").split()
    match words:
        case ["aether", *rest]:
            return aether_fault(rest)
        case ["make", target, *_] if re.fullmatch(r"[a-z][a-z-]*", target):
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            return None if re.search(rf"^{target}:", makefile, re.MULTILINE) else f"the Makefile has no {target}"
        case ["python", "-m", module, *_] if MODULE.fullmatch(module):
            return module_fault(module)
    return None


def aether_fault(words: list[str]) -> str | None:
    command: Any = typer.main.get_command(app)
    known = {option for each in command.params for option in each.opts}
    for word in words:
        if word.startswith("--"):
            if word.split("=")[0] not in known | {"--help"}:
                return f"aether {' '.join(words)}: there is no option {word}"
        elif hasattr(command, "commands"):
            for name in word.split("|"):
                if name not in command.commands:
                    return f"aether {' '.join(words)}: there is no verb {name}"
            command = command.commands[word.split("|")[0]]
            known |= {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    return None


@pytest.mark.parametrize("path", documents(), ids=shown)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = [link for link in LINK.findall(prose(path.read_text(encoding="utf-8"))) if "://" not in link]
    gone = [link for link in links if not (path.parent / link.partition("#")[0]).exists()]
    assert gone == []


@pytest.mark.parametrize("path", [each for each in documents() if shown(each) not in PRINTED], ids=shown)
def test_everything_a_document_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    faults = [fault for span in spans(text) if (fault := fault_of(span, path))]
    faults += [fault for line in typed_commands(text) if (fault := command_fault(line))]
    assert faults == []


@pytest.mark.parametrize(
    "span",
    ["shared/bus/orchestrator.py", "PlanWasDrafted", "shared.bus.commit.Comitter", "shared.nowhere", "on_sync_plan"],
)
def test_a_name_that_does_not_exist_is_seen(span: str) -> None:
    assert fault_of(span, ROOT / "README.md") is not None


@pytest.mark.parametrize(
    "line", ["aether sync", "aether run titanhst-staff --force", "make everything", "python -m shared.nowhere"]
)
def test_a_command_that_does_not_exist_is_seen(line: str) -> None:
    assert command_fault(line) is not None


@pytest.mark.parametrize(
    "line",
    ["aether run titanhst-staff --apply", "aether audit verify", "make demo ONCE=1", "python -m shared.bus.documents"],
)
def test_a_command_that_exists_is_not_complained_of(line: str) -> None:
    assert command_fault(line) is None


@pytest.mark.parametrize("service", ["applier", "auditor", "differ", "extractor", "monitor"])
def test_the_card_of_a_service_names_exactly_its_settings(service: str) -> None:
    module = importlib.import_module(f"services.{service}.settings")
    (settings,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, ServiceSettings) and each is not ServiceSettings
    )
    card = (ROOT / "services" / service / "README.md").read_text(encoding="utf-8")
    wanted = {f"AETHER_{name.upper()}" for name in settings.model_fields}
    if "shared/settings.py" in card:
        wanted -= {f"AETHER_{name.upper()}" for name in ServiceSettings.model_fields}
    assert set(SETTING.findall(card)) == wanted
