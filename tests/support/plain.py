"""The bodies of tests are flat; a system may send more."""

from __future__ import annotations

from shared.ports.wire import Body, Value


def plain(body: Body | None) -> dict[str, Value]:
    """The members of a body, all of which are plain values; none when there is no body."""
    found: dict[str, Value] = {}
    for name, value in (body or {}).items():
        assert not isinstance(value, (list, dict)), f"{name} is nested"
        found[name] = value
    return found
