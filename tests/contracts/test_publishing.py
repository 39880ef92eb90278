"""Releases: written once, loaded again with the same meaning whatever became of the folder, refused when altered."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.contract import releases
from shared.contract.catalog import Connectors
from shared.contract.loading import ContractInvalid, load_connector
from shared.contract.ordering import clause_digests
from shared.contract.releases import load_release, publish, release_problems, released_versions
from shared.errors import NeedsPerson

AT = datetime(2026, 8, 1, 7, 30, tzinfo=UTC)


def published(folder: Path) -> Path:
    return publish(folder, load_connector(folder), at=AT, by="ada")


def changed(folder: Path, old: str, new: str, file: str = "connector.yaml") -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def raised(folder: Path, version: str) -> None:
    """The next version of the worked example, with another meaning."""
    path = folder / "connector.yaml"
    current = load_connector(folder).definition.version
    text = path.read_text(encoding="utf-8").replace(f"version: {current}", f"version: {version}")
    path.write_text(text.replace("title: People", "title: More people"), encoding="utf-8")


def test_a_release_is_loaded_again_with_everything_that_decides_values(worked: Path) -> None:
    connector = load_connector(worked)
    released = load_release(published(worked))
    assert released.definition == connector.definition
    assert released.digest == connector.digest
    assert {name: table.entries for name, table in released.tables.items()} == {
        name: table.entries for name, table in connector.tables.items()
    }
    assert released.protected == connector.protected
    assert released.transforms["school_year"]("26-27") == "2026-2027"
    assert list(released.definition.entities["users"].fields) == list(connector.definition.entities["users"].fields)
    for entity in connector.definition.entities:
        assert clause_digests(released, entity) == clause_digests(connector, entity)
    assert released.is_published


def test_a_release_does_not_need_the_files_that_it_was_made_of(worked: Path) -> None:
    path = published(worked)
    for name in ("connector.yaml", "tables/sites.csv", "protected.yaml"):
        (worked / name).unlink()
    assert load_release(path).definition.name == "helpdesk-people"


def test_a_connector_is_published_when_its_release_is_stored(worked: Path) -> None:
    assert not load_connector(worked).is_published
    published(worked)
    assert load_connector(worked).is_published
    (listing,) = Connectors(worked.parent).listings()
    assert listing.is_published


def test_publishing_again_changes_nothing(worked: Path) -> None:
    path = published(worked)
    before = path.read_bytes()
    again = publish(worked, load_connector(worked), at=AT.replace(year=2027), by="somebody else")
    assert again == path
    assert path.read_bytes() == before


def test_a_version_with_another_meaning_is_neither_published_nor_loaded(worked: Path) -> None:
    path = published(worked)
    before = path.read_bytes()
    other = Path(worked.parent / "elsewhere" / worked.name)
    other.mkdir(parents=True)
    changed(worked, "delete_after_days: 90", "delete_after_days: 91")
    for name in ("connector.yaml", "tables", "protected.yaml"):
        (other / name).symlink_to(worked / name)
    with pytest.raises(NeedsPerson) as refused:
        publish(worked, load_connector(other), at=AT, by="ada")
    assert refused.value.code == "CTR_ALTERED"
    assert path.read_bytes() == before
    with pytest.raises(ContractInvalid) as caught:
        load_connector(worked)
    (problem,) = caught.value.problems
    assert caught.value.code == problem.code == "CTR_ALTERED"
    assert (problem.line, problem.fix) == (3, "raise the version")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tables/sites.csv", "Alder Elementary", "Alder School"),
        ("protected.yaml", "key: E1", "key: E2"),
        ("protected.yaml", "Administrator of the help desk", "Another reason"),
        ("connector.yaml", "cohort: [kind]", "cohort: []"),
    ],
)
def test_no_part_of_a_released_version_can_be_edited(worked: Path, file: str, old: str, new: str) -> None:
    published(worked)
    changed(worked, old, new, file)
    with pytest.raises(ContractInvalid, match="raise the version"):
        load_connector(worked)


def test_a_retired_release_is_still_the_same(worked: Path) -> None:
    before = load_release(published(worked)).digest
    changed(worked, "lifecycle: draft", "lifecycle: retired")
    connector = load_connector(worked)
    assert connector.digest == before
    assert connector.is_published
    assert connector.definition.lifecycle == "retired"


Alter = Callable[[dict[str, Any]], None]


def _limit(document: dict[str, Any]) -> None:
    document["definition"]["guard"]["suspend"]["count"] = 4_000


def _table(document: dict[str, Any]) -> None:
    document["tables"]["sites"]["entries"]["030"] = "Cedar"


def _transform(document: dict[str, Any]) -> None:
    document["transforms"]["school_year"] += "\n# harmless\n"


def _protected(document: dict[str, Any]) -> None:
    document["protected"]["users"].pop()


def _digest(document: dict[str, Any]) -> None:
    document["digest"] = "sha256:" + "0" * 64


def _order(document: dict[str, Any]) -> None:
    fields = document["definition"]["entities"]["users"]["fields"]
    document["definition"]["entities"]["users"]["fields"] = dict(reversed(fields.items()))


def _extra(document: dict[str, Any]) -> None:
    document["note"] = "x"


def _unsound(document: dict[str, Any]) -> None:
    document["definition"]["partitions"] = 0


@pytest.mark.parametrize("alter", [_limit, _table, _transform, _protected, _digest, _order, _extra, _unsound])
def test_a_release_that_was_altered_is_refused(worked: Path, alter: Alter) -> None:
    path = published(worked)
    document = json.loads(path.read_text(encoding="utf-8"))
    alter(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(NeedsPerson, match=r"helpdesk-people/releases/1\.0\.0\.json") as caught:
        load_release(path)
    assert caught.value.code == "CTR_ALTERED"
    with pytest.raises(ContractInvalid):
        load_connector(worked)


def test_a_release_under_another_name_is_refused(worked: Path) -> None:
    path = published(worked)
    moved = path.with_name("2.0.0.json")
    path.rename(moved)
    with pytest.raises(NeedsPerson, match=r"it is release 1\.0\.0 of connector helpdesk-people"):
        load_release(moved)


def test_problems_of_a_release_are_told_without_a_document_as_well(worked: Path) -> None:
    connector = load_connector(worked)
    assert release_problems(worked, connector) == []
    published(worked)
    assert release_problems(worked, connector) == []
    changed(worked, "version: 1.0.0", "version: 1.0.1")
    changed(worked, "delete_after_days: 90", "delete_after_days: 91")
    other = load_connector(worked)
    (worked / "releases" / "1.0.0.json").rename(worked / "releases" / "1.0.1.json")
    assert [problem.code for problem in release_problems(worked, other)] == ["CTR_ALTERED"]


def test_of_many_publishers_one_writes_and_all_see_the_whole_file(worked: Path) -> None:
    connector = load_connector(worked)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda who: publish(worked, connector, at=AT, by=f"person {who}"), range(32)))
    (path,) = paths
    assert load_release(path).digest == connector.digest
    assert [each.name for each in path.parent.iterdir()] == ["1.0.0.json"]


def test_a_crash_before_the_file_has_its_name_leaves_no_release(worked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise OSError("power cut")

    connector = load_connector(worked)
    monkeypatch.setattr(os, "link", crash)
    with pytest.raises(OSError, match="power cut"):
        publish(worked, connector, at=AT, by="ada")
    assert released_versions(worked) == ()
    assert not load_connector(worked).is_published


def test_versions_are_in_order_of_their_numbers(worked: Path) -> None:
    published(worked)
    for version in ("1.10.0", "1.9.0", "1.9.1"):
        raised(worked, version)
        published(worked)
    assert Connectors(worked.parent).versions("helpdesk-people") == ("1.0.0", "1.9.0", "1.9.1", "1.10.0")


def test_a_release_is_found_by_version_and_by_digest_after_the_folder_went_on(worked: Path) -> None:
    first = load_release(published(worked))
    raised(worked, "1.1.0")
    second = load_connector(worked)
    connectors = Connectors(worked.parent)
    assert connectors.load("helpdesk-people").digest == second.digest
    assert connectors.load("helpdesk-people", "1.1.0").digest == second.digest
    assert connectors.load("helpdesk-people", "1.0.0").digest == first.digest
    assert connectors.release("helpdesk-people", first.digest).definition.version == "1.0.0"
    assert connectors.release("helpdesk-people", second.digest).definition.version == "1.1.0"
    changed(worked, "key: number", "key: nothing")  # while somebody edits it, releases are still there
    assert connectors.release("helpdesk-people", first.digest).definition.version == "1.0.0"


@pytest.mark.parametrize("version", ["3.0.0", "1.0", "../1.0.0", "1.0.0/../1.0.0"])
def test_a_version_that_is_not_there_is_told(worked: Path, version: str) -> None:
    published(worked)
    with pytest.raises(NeedsPerson) as caught:
        Connectors(worked.parent).load("helpdesk-people", version)
    assert caught.value.code == "CTR_UNKNOWN"


def test_a_digest_that_is_not_there_is_told(worked: Path) -> None:
    published(worked)
    with pytest.raises(NeedsPerson, match="no release with digest") as caught:
        Connectors(worked.parent).release("helpdesk-people", "sha256:" + "0" * 64)
    assert caught.value.code == "CTR_UNKNOWN"


def test_too_large_a_release_is_refused(worked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = published(worked)
    monkeypatch.setattr(releases, "RELEASE_BYTES_MAX", 100)
    with pytest.raises(NeedsPerson, match="allowed 100"):
        load_release(path)
