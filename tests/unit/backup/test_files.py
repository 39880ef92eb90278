"""The files of a backup: private, hashed as written, and unreadable without the key where one was asked for."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pyrage
import pytest

from deploy.backup.files import Identity, Sink, identity_of, pieces, recipients_of
from deploy.backup.problem import BackupFailed

CONTENT = [b"first " * 40_000, b"second", b"x" * 300_000]
PLAIN = b"".join(CONTENT)


def key_pair() -> tuple[str, Identity]:
    secret = pyrage.x25519.Identity.generate()
    return str(secret.to_public()), identity_of(f"# created: today\n{secret}\n")


def written(folder: Path, keys: list[str]) -> Sink:
    with Sink(folder, "databases/one.sqlite", recipients_of(keys)) as sink:
        for piece in CONTENT:
            sink.write(piece)
    return sink


def test_a_plain_file_is_what_was_written_and_its_owners_alone(tmp_path: Path) -> None:
    facts = written(tmp_path, []).facts
    path = tmp_path / facts.path
    assert path.read_bytes() == PLAIN == b"".join(pieces(path, None))
    assert (facts.size, facts.sha256) == (len(PLAIN), hashlib.sha256(PLAIN).hexdigest())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_encrypted_file_comes_back_with_the_key_and_with_plain_age(tmp_path: Path) -> None:
    public, identity = key_pair()
    facts = written(tmp_path, [public]).facts
    path = tmp_path / facts.path
    stored = path.read_bytes()
    assert facts.path.endswith(".sqlite.age")
    assert (facts.size, facts.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert b"second" not in stored
    assert b"".join(pieces(path, identity)) == PLAIN
    assert pyrage.decrypt(stored, [identity.secret]) == PLAIN


def test_every_recipient_can_read(tmp_path: Path) -> None:
    pairs = [key_pair(), key_pair()]
    path = tmp_path / written(tmp_path, [public for public, _ in pairs]).facts.path
    assert [b"".join(pieces(path, identity)) == PLAIN for _, identity in pairs] == [True, True]


def test_another_key_or_none_reads_nothing(tmp_path: Path) -> None:
    path = tmp_path / written(tmp_path, [key_pair()[0]]).facts.path
    with pytest.raises(BackupFailed, match="cannot be decrypted"):
        list(pieces(path, key_pair()[1]))
    with pytest.raises(BackupFailed, match="no secret key is given"):
        list(pieces(path, None))


def test_an_encrypted_file_that_was_cut_short_never_ends_well(tmp_path: Path) -> None:
    public, identity = key_pair()
    path = tmp_path / written(tmp_path, [public]).facts.path
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(BackupFailed, match="cannot be decrypted"):
        list(pieces(path, identity))


def test_a_reader_that_leaves_early_leaves_no_thread_waiting(tmp_path: Path) -> None:
    public, identity = key_pair()
    content = pieces(tmp_path / written(tmp_path, [public]).facts.path, identity)
    assert next(content).startswith(b"first")
    content.close()  # type: ignore[attr-defined]  # it is a generator, and says that it is an iterator


def test_what_is_no_key_is_refused_without_being_shown() -> None:
    with pytest.raises(BackupFailed, match="AETHER_BACKUP_RECIPIENTS"):
        recipients_of(["age1nonsense"])
    with pytest.raises(BackupFailed) as refused:
        identity_of("AGE-SECRET-KEY-1NONSENSE")
    assert "NONSENSE" not in str(refused.value)


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    written(tmp_path, [])
    with pytest.raises(FileExistsError):
        written(tmp_path, [])
