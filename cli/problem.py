"""How a verb ends when it cannot do what was asked: the exit codes that no run has, beside the one exception."""

from __future__ import annotations

from shared.asking.problem import EXIT_ERROR, EXIT_USAGE, CommandFailed, NoAnswer, from_note

EXIT_INTERRUPTED = 130
"""Ctrl-C."""

__all__ = ["EXIT_ERROR", "EXIT_INTERRUPTED", "EXIT_USAGE", "CommandFailed", "NoAnswer", "from_note"]
