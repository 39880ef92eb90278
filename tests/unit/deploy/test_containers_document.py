"""The page for those who run the composition: every command on it names what there is."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

ROOT: Final = Path(__file__).resolve().parents[3]
DOCUMENTS: Final = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
PAGE: Final = ROOT / "docs/operations/containers.md"
COMPOSE_TEXT: Final = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: Final[dict[str, Any]] = YAML(typ="safe").load(COMPOSE_TEXT)["services"]
FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
INLINE: Final = re.compile(r"`([^`]*docker compose[^`]*)`")
WITH_VALUE: Final = {
    "--tail",
    "--entrypoint",
    "-v",
    "-e",
    "--scale",
    "--since",
    "--project-name",
    "--profile",
    "--wait-timeout",
}
OF_ONE: Final = {"run", "exec"}
OF_MANY: Final = {"stop", "restart", "up", "build", "logs", "ps", "down", "kill", "pull", "rm"}


def commands(text: str) -> list[str]:
    """Every command line of compose in a text: in blocks, where words may stand behind it, and between backticks."""
    inline = [re.sub(r"\s+", " ", found) for found in INLINE.findall(FENCE.sub("", text))]
    lines = [line.strip() for line in text.splitlines() if "docker compose " in line and "`" not in line]
    written = [re.split(r"#|   ", found)[0] for found in (*inline, *lines)]
    parts = [part.strip() for found in written for part in re.split(r"&&|;", found)]
    return sorted({part for part in parts if "docker compose" in part})


def fault_of(command: str) -> str | None:
    """What is wrong with a command of compose; None when nothing is."""
    words = shlex.split(re.sub(r"[<>|].*", "", command))
    words = words[words.index("compose") + 1 :]
    found: list[str] = []
    is_value = False
    for word in words:
        if not is_value and not word.startswith("-"):
            found.append(word)
        is_value = word in WITH_VALUE
    if not found:
        return None
    verb, *rest = found
    if verb in OF_ONE and rest:
        named, arguments = rest[:1], rest[1:]
        for word in arguments[:1]:
            if re.fullmatch(r"(deploy|services)(\.\w+)+", word) and importlib.util.find_spec(word) is None:
                return f"there is no module {word}"
    elif verb in OF_MANY:
        named = rest
    else:
        return None if verb in OF_ONE else f"compose has no verb {verb} that this page needs"
    # NAME stands for any of them.
    unknown = [name for name in named if name not in SERVICES and name != "NAME"]
    return f"the composition has no service {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_compose_names_services_and_modules_that_there_are(path: Path) -> None:
    found = {command: fault_of(command) for command in commands(path.read_text(encoding="utf-8"))}
    assert {command: fault for command, fault in found.items() if fault} == {}


def test_the_page_has_commands_and_a_wrong_one_is_seen() -> None:
    assert len(commands(PAGE.read_text(encoding="utf-8"))) > 20
    assert fault_of("docker compose run --rm tool aether runs")
    assert fault_of("docker compose run --rm tools deploy.setup.acounts")
    assert fault_of("docker compose restart nats1 nats4")
    assert fault_of("docker compose starts")
    assert (
        fault_of("docker compose run --rm --no-deps -T --entrypoint tar setup -C /house/all -xf - < house.tar") is None
    )


def test_the_table_of_settings_names_every_variable_of_the_composition_and_no_other() -> None:
    known = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT)) | {
        name for part in SERVICES.values() for name, value in part.get("environment", {}).items() if value is None
    }
    told = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=1)?`", PAGE.read_text(encoding="utf-8")))
    of_tests = {"AETHER_DEMO_STAFF", "AETHER_DEMO_UPDATES", "AETHER_DEMO_RATE_PER_SECOND", "BUILD_NETWORK"}
    assert known - told - of_tests == set()
    assert told - known <= {"AETHER_DATABASE_URL"}
