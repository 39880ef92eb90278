"""A backup is whole and unaltered, or it is refused by the name of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.backup.files import Sink
from deploy.backup.manifest import MANIFEST, DatabaseFacts, Manifest, StreamFacts, read_manifest, verify_files
from deploy.backup.problem import BackupFailed
from deploy.backup.streams import ORDER
from shared.bus.topology import STREAMS


def a_backup(folder: Path) -> Manifest:
    """Two files for one stream, one for a database, and the manifest over them."""
    facts = {}
    for place in ("streams/CORE/backup.json", "streams/CORE/stream.tar.s2", "databases/auditor.sqlite"):
        with Sink(folder, place, []) as sink:
            sink.write(place.encode() * 100)
        facts[place] = sink.facts
    stream = StreamFacts(
        name="CORE", first_seq=1, last_seq=9, messages=9, size=900, consumers=7,
        configuration=facts["streams/CORE/backup.json"], content=facts["streams/CORE/stream.tar.s2"],
    )  # fmt: skip
    manifest = Manifest(
        environment="staging", release="0.1.0", bus_version="2.15.1", began_at="a", ended_at="b", recipients=(),
        streams=(stream,),
        databases=(
            DatabaseFacts(name="auditor", kind="sqlite", version="3", content=facts["databases/auditor.sqlite"]),
        ),
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return manifest


def test_a_whole_backup_verifies(tmp_path: Path) -> None:
    manifest = a_backup(tmp_path)
    found, digest = read_manifest(tmp_path)
    assert found == manifest
    assert len(digest) == 64
    assert verify_files(tmp_path, found) == sum((tmp_path / file.path).stat().st_size for file in manifest.files())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (flip, "has the right size and another content"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has 2599 bytes, the manifest says 2600"),
        (lambda path: path.write_bytes(b""), "has 0 bytes"),
        (Path.unlink, "No such file"),
    ],
)
def test_each_harm_to_a_file_is_named(tmp_path: Path, harm: Callable[[Path], Any], said: str) -> None:
    manifest = a_backup(tmp_path)
    harm(tmp_path / "streams/CORE/stream.tar.s2")
    with pytest.raises(BackupFailed, match=said) as refused:
        verify_files(tmp_path, manifest)
    assert "streams/CORE/stream.tar.s2" in str(refused.value)
    assert "backup.json" not in str(refused.value)


def test_a_folder_without_a_manifest_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="is no backup"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "streams/CORE/../../x", "databases/.hidden", "other/x"])
def test_a_manifest_names_no_file_outside_of_its_folder(tmp_path: Path, place: str) -> None:
    document = json.loads(a_backup(tmp_path).model_dump_json())
    document["databases"][0]["content"]["path"] = place
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BackupFailed, match=r"databases\.0\.content\.path"):
        read_manifest(tmp_path)


def test_a_manifest_of_a_later_release_is_refused(tmp_path: Path) -> None:
    document = json.loads(a_backup(tmp_path).model_dump_json()) | {"format": 2}
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BackupFailed, match="format"):
        read_manifest(tmp_path)


def test_every_stream_of_the_table_is_taken_once() -> None:
    assert sorted(ORDER) == sorted(stream.name for stream in STREAMS)
    assert (ORDER[0], ORDER[-1]) == ("CORE", "LEASE")
