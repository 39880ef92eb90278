"""The one way in which a backup or a restore does not succeed."""

from __future__ import annotations


class BackupFailed(Exception):
    """A backup was not made, is not whole, or was not restored; says what was found and what to do."""

    def __init__(self, text: str, *, action: str) -> None:
        super().__init__(text)
        self.action = action
