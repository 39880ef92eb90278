"""Opens the place where a connection's files lie."""

from __future__ import annotations

from shared.ports.surroundings import Surroundings
from systems.files.settings import FilesSettings
from systems.files.stores import Store


def store_of(settings: FilesSettings, surroundings: Surroundings, *, may_write: bool) -> Store:
    """A folder, or a server with the login that may only read or the one that may write; secrets are read now."""
    if settings.sftp is None:
        from systems.files.folder import FolderStore

        return FolderStore(settings.folder or "", surroundings, file_bytes_max=settings.file_bytes_max)
    from systems.files.sftp import SftpStore, login_of

    login = login_of(settings.sftp, surroundings, may_write=may_write)
    return SftpStore(settings.sftp, login, surroundings, file_bytes_max=settings.file_bytes_max)
