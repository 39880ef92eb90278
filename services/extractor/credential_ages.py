"""How old the credentials of the connections are, and when those end that say so themselves.

Told are moments and names of settings, never a value. The age is that of the secret's file; a certificate and a JSON
Web Token name their own end. A secret that is not a file, or that this program may not read, has no figure: the
extractor holds what may read, and not what may write. Files are looked at when somebody asks for the figures, and
read only when they are younger than last time. No signature is checked here: whoever uses the secret is told that.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography import x509
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from shared.clock import to_text
from shared.events.operating import CredentialAge, CredentialList
from shared.ports.connections import Connections
from shared.telemetry.families import gauge_family

FILE_PREFIX: Final = "file:"
SECRETS_MAX: Final = 40
"""Secrets of one connection; the most that a system asks for are four."""
DEPTH_MAX: Final = 4
"""How far settings may lie within settings."""
SECRET_BYTES_MAX: Final = 64 * 1024
_SETTING: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TOKEN: Final = re.compile(rb"[\w-]+\.([\w-]+)\.[\w-]*")
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_MOMENTS: Final = range(1, 253_402_300_800)
"""Whole seconds of the years 1970 to 9999."""


@dataclass(frozen=True, slots=True)
class CredentialFile:
    """One secret that lies in a file."""

    connection: str
    setting: str
    """As in the document, with dots: `oauth.key`."""
    path: Path


def credential_files(connections: Connections) -> tuple[CredentialFile, ...]:
    """Every secret of the connections that lies in a file."""
    found: list[CredentialFile] = []
    for name in connections.names():
        secrets = _references(connections.named(name).settings, depth=DEPTH_MAX)
        found += [CredentialFile(name, setting, path) for setting, path in sorted(secrets)[:SECRETS_MAX]]
    return tuple(found)


def tell_credentials(registry: CollectorRegistry, connections: Connections) -> Credentials:
    """Let the program's /metrics tell how old the credentials are."""
    credentials = Credentials(credential_files(connections))
    registry.register(credentials)
    return credentials


def end_of(content: bytes) -> float | None:
    """When a credential ends, in seconds since 1970; None where it does not say so."""
    if _CERTIFICATE in content:
        try:
            return min(one.not_valid_after_utc.timestamp() for one in x509.load_pem_x509_certificates(content))
        except ValueError:
            return None
    token = _TOKEN.fullmatch(content.strip())
    if token is None:
        return None
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(token[1] + b"=" * (-len(token[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    ends = claims.get("exp") if isinstance(claims, dict) else None
    is_moment = isinstance(ends, int | float) and not isinstance(ends, bool) and int(ends) in _MOMENTS
    return float(ends) if is_moment and ends is not None else None


class Credentials(Collector):
    """The credentials of the connections that lie in files."""

    def __init__(self, files: tuple[CredentialFile, ...]) -> None:
        self._files = files
        self._ends: dict[Path, tuple[float, float | None]] = {}
        """When the file was written that was read, and when what is in it ends."""

    def describe(self) -> Iterable[Metric]:
        """Nothing is said before the files are looked at."""
        return ()

    def listed(self) -> CredentialList:
        """The same for people."""
        return CredentialList(
            credentials=tuple(
                CredentialAge(
                    connection=one.connection,
                    setting=one.setting,
                    changed_at=_moment(written),
                    ends_at=None if ends is None else _moment(ends),
                )
                for one, written, ends in self._looked()
            )
        )

    def collect(self) -> Iterable[Metric]:
        """The figures, as of now."""
        changed = gauge_family("aether_credential_changed_timestamp_seconds")
        expiry = gauge_family("aether_credential_expiry_timestamp_seconds")
        for one, written, ends in self._looked():
            changed.add_metric((one.connection, one.setting), written)
            if ends is not None:
                expiry.add_metric((one.connection, one.setting), ends)
        yield changed
        yield expiry

    def _looked(self) -> Iterator[tuple[CredentialFile, float, float | None]]:
        """Each file with the moment it was written and the end of what is in it."""
        for one in self._files:
            try:
                written = one.path.stat().st_mtime
                yield one, written, self._end(one.path, written)
            except OSError:
                continue  # the opening of the connection says what is missing

    def _end(self, path: Path, written: float) -> float | None:
        known = self._ends.get(path)
        if known is None or known[0] != written:
            with path.open("rb") as file:
                known = self._ends[path] = (written, end_of(file.read(SECRET_BYTES_MAX)))
        return known[1]


def _moment(seconds: float) -> str:
    return to_text(datetime.fromtimestamp(seconds, UTC))


def _references(settings: Mapping[str, Any], *, depth: int, within: str = "") -> Iterator[tuple[str, Path]]:
    for name, value in settings.items():
        if _SETTING.fullmatch(name) is None:
            continue
        if isinstance(value, str) and value.startswith(f"{FILE_PREFIX}/"):
            yield f"{within}{name}", Path(value.removeprefix(FILE_PREFIX))
        elif isinstance(value, Mapping) and depth > 1:
            yield from _references(value, depth=depth - 1, within=f"{within}{name}.")
