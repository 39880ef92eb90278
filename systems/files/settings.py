"""Settings of a connection to files: a folder or an SFTP server, and where its files differ from the usual."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.secrets import SecretReference
from systems.files.description import FileName, FilesInterface, Header, Name
from systems.files.layout import Layout
from systems.files.wire import entity_of

UserText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
HostText = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")]
RemotePath = Annotated[str, StringConstraints(pattern=r"^/?[^\x00-\x1f]*$", max_length=500)]
KnownHost = Annotated[
    str, StringConstraints(pattern=r"^[^\s#@]+ (ssh|ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$", max_length=2_000)
]
"""A line as `ssh-keyscan` prints it and `known_hosts` holds it."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SftpSettings(_Settings):
    """An SFTP server."""

    host: HostText
    port: int = Field(default=22, ge=1, le=65_535)
    known_hosts: tuple[KnownHost, ...] = Field(min_length=1, max_length=20)
    """The server's public keys. A server with another key is not spoken to."""
    folder: RemotePath = ""
    """Where the files lie; the folder that one is in after signing in, when left out."""
    user: UserText
    """Who may read."""
    password: SecretReference | None = None
    """Where the password lies."""
    private_key: SecretReference | None = None
    """Where the private key lies, in OpenSSH's form."""
    passphrase: SecretReference | None = None
    """Where the words lie that open the private key."""
    write_user: UserText | None = None
    """Who may write; the same user with the same proof when left out."""
    write_password: SecretReference | None = None
    """Only the applier can resolve it."""
    write_private_key: SecretReference | None = None
    """Only the applier can resolve it."""
    write_passphrase: SecretReference | None = None
    """Only the applier can resolve it."""
    upload_folder: RemotePath | None = None
    """Where an upload stands, under the file's own name, until it is whole: a folder that the other side's import does
    not look into, on the same disk. Left out: beside the file, under another name."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    """For signing in and for each short question."""
    transfer_seconds_max: float = Field(default=300.0, gt=0, le=3_600)
    """For bringing or taking one file."""

    @model_validator(mode="after")
    def _has_a_proof(self) -> Self:
        if self.password is None and self.private_key is None:
            raise ValueError("give password or private_key")
        given = self.write_password is not None or self.write_private_key is not None
        if self.write_user is not None and not given:
            raise ValueError("write_user needs write_password or write_private_key")
        if self.upload_folder is not None and self.upload_folder.rstrip("/") == self.folder.rstrip("/"):
            raise ValueError("upload_folder must be another folder than folder, or be left out")
        return self


class EntitySettings(_Settings):
    """Where one entity's file differs from the usual."""

    file: FileName | None = None
    """Its name."""
    headers: dict[Name, Header] = Field(default={})
    """Names of its columns, by field; they go before those of the spelling."""
    stale_after_hours: int | None = Field(default=None, ge=1, le=8_760)
    """See the interface document; None leaves what it says."""


class FilesSettings(_Settings):
    """What every connection of the family has."""

    files: ClassVar[FilesInterface]
    """The system's interface document."""

    folder: str | None = Field(default=None, pattern=r"^/[^\x00]*$", max_length=1_000)
    """The absolute path of a folder on this machine."""
    sftp: SftpSettings | None = None
    """Or a server."""
    spelling: Name | None = None
    """Which of the document's spellings of headers the files have; as given there when left out."""
    entities: dict[Name, EntitySettings] = Field(default={})
    """Where single files differ."""
    page_rows: int = Field(default=5_000, ge=1, le=50_000)
    """Rows of one page."""
    file_bytes_max: int = Field(default=256 * 1024 * 1024, ge=1_024, le=2 * 1024 * 1024 * 1024)
    """The largest file that is read or made. A file is held in memory whole."""
    rows_max: int = Field(default=2_000_000, ge=1, le=10_000_000)
    """Rows of one file."""
    settle_seconds: float = Field(default=2.0, ge=0, le=60)
    """How long a file must stand unchanged before it is read; it may be uploaded at this moment."""
    read_tries: int = Field(default=3, ge=1, le=10)
    """How often a file is read that changes meanwhile, or a server is asked that does not answer."""
    gather_seconds: float = Field(default=0.2, ge=0, le=10)
    """How long the first of several changes waits for others to go into the file with it."""
    gathered_max: int = Field(default=1_000, ge=1, le=10_000)
    """Changes that go into the file together."""
    missing_is_empty: bool = False
    """Whether a file that is not there counts as one without records, and is made. For the first run; take it out
    afterwards, or a file that somebody took away looks like one that everybody left."""

    @model_validator(mode="after")
    def _fits_the_document(self) -> Self:
        if (self.folder is None) == (self.sftp is None):
            raise ValueError("give folder or sftp, one of them")
        described = type(self).files
        if self.spelling is not None and self.spelling not in described.spellings:
            raise ValueError(f"spelling: there is {', '.join(described.spellings) or 'none'}")
        for name, settings in self.entities.items():
            if name not in described.entities:
                raise ValueError(f"entities: {name} is none of {', '.join(described.entities)}")
            own = described.entities[name].headers(self.spelling)
            for field in settings.headers:
                if field not in own:
                    raise ValueError(f"entities: {name}: {field} is no field that stands in the file")
            if len({**own, **settings.headers}.values()) != len(set({**own, **settings.headers}.values())):
                raise ValueError(f"entities: {name}: two fields have one header")
        return self


def settings_of(described: FilesInterface) -> type[FilesSettings]:
    """The model of a connection's settings for this interface document."""

    class Settings(FilesSettings):
        """Settings of a connection."""

        files: ClassVar[FilesInterface] = described

    return Settings


def layout_of(settings: FilesSettings, entity: str, *, code: str) -> Layout:
    """The layout of an entity; `StopRun` with that code for an unknown one."""
    described = entity_of(type(settings).files, entity, code=code)
    own = settings.entities.get(entity, EntitySettings())
    return Layout(
        entity=entity,
        described=described,
        file=own.file or described.file,
        headers={**described.headers(settings.spelling), **own.headers},
        stale_after_hours=own.stale_after_hours or described.stale_after_hours,
        rows_max=settings.rows_max,
    )
