"""When the certificates end that the operator names: of the bus, of the databases, of the console.

A file is read anew every minute, so that a renewed certificate is seen without a restart. What cannot be read has no
figure, and the log says which; a private key in the same file is not looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

READ_SECONDS: Final = 60.0
FILE_BYTES_MAX: Final = 256 * 1024
"""A longer file is no chain of certificates."""

log = structlog.get_logger(__name__)


class Certificates:
    """The named certificates and when they end."""

    def __init__(self, files: Sequence[tuple[str, str]]) -> None:
        self._files = files
        self.ends: dict[str, float] = {}
        """In seconds since 1970, by name."""

    async def run(self) -> None:
        """Read for ever, until cancelled."""
        while self._files:
            self.ends = await asyncio.to_thread(self.read)
            await asyncio.sleep(READ_SECONDS)

    def read(self) -> dict[str, float]:
        """When each one ends that can be read."""
        found: dict[str, float] = {}
        for name, path in self._files:
            try:
                found[name] = end_of(Path(path))
            except (OSError, ValueError) as error:
                log.error("certificate_not_read", name=name, error=type(error).__name__)
        return found


def end_of(path: Path) -> float:
    """When the first certificate of a PEM file to end does so, in seconds since 1970; `ValueError` where none is."""
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"the file has more than {FILE_BYTES_MAX} bytes")
    return min(one.not_valid_after_utc.timestamp() for one in x509.load_pem_x509_certificates(content))
