"""A folder of further vendors: found beside the installed systems, data alone, and at one with its manifest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.definitions import VENDORS_VARIABLE
from cli.definitions import vendors_folder as named_folder
from services.extractor.settings import ExtractorSettings
from shared.errors import NeedsPerson
from shared.ports.connections import Connection
from shared.ports.discovery import ManifestInvalid, quality_in
from shared.ports.quality import RULES, Tier
from shared.ports.registry import Registry, installed_systems_folder
from tests.simulators.alerts.running_alerts import Klaxon
from tests.support.systems import installed_systems
from tests.systems.http.klaxon import VENDORS, ends, read, vendors_folder

ROOT = installed_systems_folder().parent


def registry(folder: Path) -> Registry:
    return installed_systems(vendors_folder=folder)


def changed(folder: Path, file: str, old: str, new: str) -> Registry:
    """The vendors with one text of Klaxon's folder replaced."""
    vendors = vendors_folder(folder)
    # The copy is written anew from the original, so that lines and columns are those of the repository's file.
    text = (VENDORS / "klaxon" / file).read_text(encoding="utf-8")
    assert old in text
    for name in ("manifest.yaml", "http.yaml"):
        (vendors / "klaxon" / name).write_text((VENDORS / "klaxon" / name).read_text(encoding="utf-8"))
    (vendors / "klaxon" / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return registry(vendors)


def test_a_vendor_of_the_folder_stands_beside_the_installed_systems() -> None:
    found = registry(VENDORS)
    assert {"klaxon", "titanhst"} <= set(found.names())
    assert "klaxon" not in Registry(installed_systems_folder()).names()
    assert [column.name for column in found.columns_of("klaxon", "record_types")] == ["code", "name"]
    assert found.manifest("klaxon").limits.rate_per_second == 10


def test_a_vendor_that_shows_nothing_of_its_own_is_read_on_demand_and_never_written(tmp_path: Path) -> None:
    vendors = vendors_folder(tmp_path)
    assert registry(vendors).tier("klaxon", role="target") is Tier.GOLD
    (vendors / "klaxon" / "quality.yaml").unlink()
    assert registry(vendors).tier("klaxon", role="source") is Tier.BRONZE
    connection = Connection(name="klaxon", system="klaxon", environment="staging", settings={})
    with pytest.raises(NeedsPerson, match=r"a target must be gold.*twice_is_once") as caught:
        registry(vendors).open_target(connection)
    assert caught.value.code == "APL_CONFIG"


def test_what_a_family_claims_to_keep_names_tests_that_are_there() -> None:
    for path in (installed_systems_folder() / "http", VENDORS / "klaxon"):
        quality = quality_in(path / "quality.yaml")
        assert quality.elsewhere
        assert all((ROOT / file).is_file() for file in quality.elsewhere.values())
        assert {*quality.kept, *quality.lacks} == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        (
            "manifest.yaml",
            "  record_types:\n    roles: [source]\n    key: code\n",
            "",
            "http.yaml:47:3: entity record_types: manifest.yaml does not name it",
        ),
        ("manifest.yaml", "  record_types:", "  types:", "manifest.yaml:9:3: entity types: http.yaml does not"),
        ("manifest.yaml", "key: external_id", "key: badge", "manifest.yaml:7:5: entity contacts: key badge is not"),
        ("manifest.yaml", "[email, mobile]", "[email]", "manifest.yaml:8:5: entity contacts: write_companions must be"),
        ("manifest.yaml", "    roles: [source]", "    roles: [source, target]", "no request that changes it"),
        ("http.yaml", "kind: page_number", "kind: page_numbers", "http.yaml:9:1: paging"),
        ("http.yaml", "as_number: true, read_only", "as_numbr: true, read_only", "http.yaml:36:41: entities.contacts"),
        ("http.yaml", "wire: firstName", "wire: first Name", "is no place"),
        ("http.yaml", "base_path: /v1", "base_path: [", "http.yaml:"),
    ],
)
def test_a_document_that_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, file: str, old: str, new: str, expected: str
) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        changed(tmp_path, file, old, new).columns_of("klaxon", "contacts")
    assert expected in caught.value.message, caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("interface: http.yaml\n", "", "family and interface go together"),
        ("interface: http.yaml", 'interface: http.yaml\nsource: "source:build"', "leave out source"),
        ("interface: http.yaml", "interface: ../klaxon.yaml", "interface"),
        ("name: klaxon", "name: titanhst", "is titanhst, but the folder is klaxon"),
        (
            "family: http\ninterface: http.yaml",
            'config: "a:b"\ncolumns: "a:b"\nsource: "a:b"\ntarget: "a:b"\nwire: "a:b"',
            "is data alone; give family and interface",
        ),
    ],
)
def test_a_manifest_of_a_vendor_is_refused_at_once(tmp_path: Path, old: str, new: str, expected: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        changed(tmp_path, "manifest.yaml", old, new)
    assert expected in caught.value.message


def test_a_family_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NeedsPerson, match=r"module systems\.carrier_pigeon is missing"):
        found = changed(tmp_path, "manifest.yaml", "family: http", "family: carrier_pigeon")
        found.columns_of("klaxon", "contacts")


def test_a_name_that_exists_twice_is_refused(tmp_path: Path) -> None:
    vendors = vendors_folder(tmp_path)
    (vendors / "klaxon").rename(vendors / "titanhst")
    manifest = vendors / "titanhst" / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace('"klaxon"', '"titanhst"'))
    with pytest.raises(ManifestInvalid, match=r"titanhst is the system of .*systems/titanhst/manifest\.yaml already"):
        registry(vendors)


def test_code_in_the_folder_of_vendors_is_never_run(tmp_path: Path) -> None:
    vendors = vendors_folder(tmp_path)
    for place in (vendors / "__init__.py", vendors / "klaxon" / "__init__.py", vendors / "klaxon" / "family.py"):
        place.write_text("raise SystemExit('code of a vendor was run')\n")
    assert len(registry(vendors).columns_of("klaxon", "record_types")) == 2
    assert registry(vendors).wire("klaxon") is not None


def test_the_interface_is_read_once(tmp_path: Path) -> None:
    vendors = vendors_folder(tmp_path)
    found = registry(vendors)
    first = found.columns_of("klaxon", "contacts")
    (vendors / "klaxon" / "http.yaml").unlink()
    assert found.columns_of("klaxon", "contacts") == first


async def test_the_description_says_what_the_vendor_delivers(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        source = house.source()
        reading: Any = source.read("contacts")
        names = {name for page in [page async for page in reading] for name in page.rows.columns}
        assert names == {column.name for column in source.columns("contacts")}
        assert reading.unknown_fields == {}, "every field that comes is read or known to be of no use"
        assert house.registry.manifest("klaxon").entities["contacts"].key in names
        assert (await read(source, "record_types"))[0]


def test_the_command_line_finds_the_vendors_by_the_same_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VENDORS_VARIABLE, raising=False)
    assert named_folder() is None
    monkeypatch.setenv(VENDORS_VARIABLE, str(VENDORS))
    assert named_folder() == VENDORS
    settings = ExtractorSettings(nats_url="nats://127.0.0.1:1", nats_password="env:X", connections=Path("none"))
    assert settings.vendors_folder == VENDORS


def test_planning_a_write_of_a_vendor_needs_neither_network_nor_columnar_engine() -> None:
    program = (
        "import sys; sys.modules['polars'] = sys.modules['httpx'] = None\n"
        "from pathlib import Path\n"
        "from shared.ports.registry import Registry, installed_systems_folder\n"
        f"registry = Registry(installed_systems_folder(), vendors_folder=Path({str(VENDORS)!r}))\n"
        "print(registry.wire('klaxon').write_for('contacts', verb='suspend', target_id='1', values={}).body)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "{'status': 'I'}"), done.stderr
