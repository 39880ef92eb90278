"""The composition as it is written, without an engine: `make containers` plays it on one."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.images.contents import IMAGES
from deploy.setup.places import NODES, SERVICES, House
from shared.bus.program import DRAIN_SECONDS, LEAVE_SECONDS
from shared.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {name for name, part in PARTS.items() if part.get("restart") == "no"}
OF_THE_IMAGE = {"AETHER_ADMIN_HOST", "AETHER_ADMIN_PORT"}


def settings_of(service: str) -> type[ServiceSettings]:
    module = importlib.import_module(f"services.{service}.settings")
    (found,) = (
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, ServiceSettings) and one.__module__ == module.__name__
    )
    return found


def mounts_of(part: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Source and whether it can only be read, by place; a mount without a source is its container's own."""
    found = {}
    for text in part.get("volumes", ()):
        mount, is_read_only = (text[:-3], True) if text.endswith(":ro") else (text, False)
        source, _, target = mount.rpartition(":") if ":" in mount else ("", "", mount)
        found[target] = (source, is_read_only)
    return found


@pytest.mark.parametrize("name", sorted(PARTS))
def test_every_container_is_hardened(name: str) -> None:
    part = PARTS[name]
    assert part["read_only"] is True and part["cap_drop"] == ["ALL"] and "cap_add" not in part
    assert part["security_opt"] == ["no-new-privileges:true"] and "privileged" not in part
    assert all(str(port).startswith("127.0.0.1:") for port in part.get("ports", ()))
    assert "mem_limit" in part or name in ONCE
    assert str(part.get("user", "given by the image")) not in ("root", "0", "0:0")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_settings_that_it_has_and_all_that_it_must(service: str) -> None:
    told = {name for name in PARTS[service]["environment"] if name.startswith("AETHER_")} | OF_THE_IMAGE
    fields = settings_of(service).model_fields
    known = {f"AETHER_{name.upper()}" for name in fields}
    assert told - known == set()
    assert {f"AETHER_{name.upper()}" for name, field in fields.items() if field.is_required()} - told == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_own_secrets_and_cannot_change_them(service: str) -> None:
    assert mounts_of(PARTS[service])["/run/aether"] == (f"for-{service}", True)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_time_to_hand_over(service: str) -> None:
    seconds = float(str(PARTS[service]["stop_grace_period"]).removesuffix("s"))
    assert seconds > DRAIN_SECONDS + 2 * LEAVE_SECONDS


def test_only_the_set_up_has_everything() -> None:
    assert {name for name, part in PARTS.items() if "/house/all" in mounts_of(part)} == {"setup", "demo"}


def test_the_set_up_lays_each_part_where_its_volume_is() -> None:
    laid = mounts_of(PARTS["setup"])
    assert {laid[str(House(Path("/house")).of(name))][0] for name in (*SERVICES, *NODES)} == {
        f"for-{name}" for name in (*SERVICES, *NODES)
    }
    # A volume belongs to our user because the image has its folder, owned by that user.
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    for part in ("setup", "demo"):
        for place in mounts_of(PARTS[part]):
            if place.startswith("/house/"):
                assert place.removeprefix("/house/") in dockerfile.split(), place


def test_every_volume_and_network_is_declared_and_used() -> None:
    sources = {source for part in PARTS.values() for source, _ in mounts_of(part).values()}
    named = {source for source in sources if source and not source.startswith((".", "/", "$"))}
    # The one that a setting can replace by a folder.
    named.add("backups")
    assert named == set(COMPOSE["volumes"])
    assert {network for part in PARTS.values() for network in part.get("networks", ())} == set(COMPOSE["networks"])


def test_databases_and_bus_cannot_be_reached_from_outside() -> None:
    closed = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    assert {"bus", "data"} <= closed
    for name in ("postgres", *NODES):
        assert set(PARTS[name]["networks"]) <= closed and "ports" not in PARTS[name]


def test_every_image_of_ours_is_built_from_the_one_file() -> None:
    built = {}
    for part in PARTS.values():
        if "build" in part:
            assert part["build"]["dockerfile"] == "deploy/Dockerfile"
            service = part["build"]["args"]["SERVICE"]
            assert part["image"] == f"${{AETHER_REGISTRY:-aether}}/{service}:${{AETHER_VERSION:-local}}"
            built[service] = part
    assert built.keys() == IMAGES.keys()


def test_files_that_are_mounted_from_the_checkout_are_there() -> None:
    for part in PARTS.values():
        for source, _ in mounts_of(part).values():
            path = source.rsplit(":-", 1)[-1].rstrip("}") if source.startswith("$") else source
            # The folders of secrets are the district's own to make.
            if path.startswith("./") and "secrets" not in path:
                assert (ROOT / path).exists(), path
