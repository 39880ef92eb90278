"""Ports of this machine, for what the embedded stack listens on; nothing is kept open here."""

from __future__ import annotations

import socket

from cli.problem import CommandFailed

CONSOLE_PORT = 8080


def usual_port() -> int:
    """The usual port of the console while nothing else has it, else any that is free: for a house a person starts."""
    return _first_free(CONSOLE_PORT, 0)


def free_port() -> int:
    """Any port that is free: for houses beside each other, which would all find the usual one free at once."""
    return _first_free(0)


def _first_free(*ports: int) -> int:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise CommandFailed("no port is free for the console", action="End something that listens; then start again.")


def require_free(port: int, *, of: str = "the bus", option: str = "--port") -> None:
    """`CommandFailed` when something else listens on a port; who needs it would only say so late."""
    if port <= 0:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            raise CommandFailed(
                f"port {port} cannot be used for {of}: {problem.strerror}",
                action=f"Choose another with {option}, or leave it out: a free one is taken.",
            ) from None
