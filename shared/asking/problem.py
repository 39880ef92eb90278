"""How an act of a person ends when it cannot be done: a code, a sentence, what to do.

The one exception that the command line and the console raise on purpose. It holds no personal value and no secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.events.documents import FailureNote

EXIT_ERROR = 1
EXIT_USAGE = 64
"""A mistyped command line. Not the usual 2, which here means that changes wait."""


class CommandFailed(Exception):
    """What a person asked for cannot be done."""

    def __init__(self, text: str, *, action: str, code: str | None = None, exit_code: int = EXIT_ERROR) -> None:
        self.text = text
        self.action = action
        self.code = code
        """Of the catalogue of failures; None for what only the asking side can get wrong."""
        self.exit_code = exit_code
        """What a command line ends with."""
        super().__init__(text)

    def document(self) -> dict[str, object]:
        """The failure as `--json` prints it."""
        return {"error": {"code": self.code, "text": self.text, "action": self.action}, "exit_code": self.exit_code}


class NoAnswer(CommandFailed):
    """A service did not answer; asking again may help."""


def from_note(note: FailureNote) -> CommandFailed:
    """What a service refused, with what the catalogue says to do about it."""
    from shared.failures import CATALOGUE

    entry = CATALOGUE.get(note.code)
    action = entry.action if entry is not None else "Compare the versions of this program and of the service."
    return CommandFailed(note.text, action=action, code=note.code)
