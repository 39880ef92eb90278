"""The command line starts quickly, because it loads nothing that the verb at hand does not need."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import cli
import cli.verbs

HEAVY = ("polars", "sqlalchemy", "faststream", "simulators")


def _loaded(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint('\\n'.join(sys.modules), file=sys.stderr)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {name.split(".", 1)[0] for name in done.stderr.splitlines()}


def test_help_loads_typer_and_nothing_that_talks_or_computes() -> None:
    loaded = _loaded("from cli.main import exit_code\nassert exit_code(['--help']) == 0")
    assert "typer" in loaded
    assert loaded.isdisjoint({*HEAVY, "nats", "pydantic", "rich", "cryptography"})


def test_no_module_of_the_command_line_loads_an_engine_a_database_or_the_service_framework() -> None:
    modules = [
        module.name
        for package in (cli, cli.verbs)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    ]
    assert "cli.stack" in modules
    assert _loaded("\n".join(f"import {module}" for module in modules)).isdisjoint(HEAVY)


@pytest.mark.parametrize("heavy", HEAVY)
def test_the_check_above_can_fail(heavy: str) -> None:
    assert heavy in _loaded(f"import cli.main, {heavy}")
