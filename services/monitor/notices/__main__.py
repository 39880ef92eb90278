"""`python -m services.monitor.notices try CHANNEL`: send one notice that tells of nothing, and print what happened.

It needs `AETHER_NOTICES` and the secrets of that channel, and neither bus nor database. `check` reads the document and
every secret that it names, and sends nothing. What the other side answered is printed here, and here only.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from services.monitor.notices.channels import (
    ChannelsInvalid,
    EmailChannel,
    SlackChannel,
    WebhookChannel,
    load_channels,
)
from services.monitor.notices.delivery import NotDelivered
from services.monitor.notices.running import sender_of
from services.monitor.notices.wording import House, trial_of
from shared.clock import SystemClock, to_text
from shared.errors import AetherError
from shared.ids import RandomIds
from shared.secrets import resolve

EXIT_NOT_DELIVERED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SETTINGS: Final = 78
USAGE: Final = """\
usage: python -m services.monitor.notices try CHANNEL    send one notice that tells of nothing
       python -m services.monitor.notices check          read the channels and their secrets, send nothing
AETHER_NOTICES names the YAML document of the channels."""

AnyChannel = EmailChannel | WebhookChannel | SlackChannel


def run(words: Sequence[str], *, say: Callable[[str], None] = print) -> int:
    """Carry out one command; returns the exit code."""
    match list(words):
        case ["check"] | ["try", _]:
            pass
        case _:
            say(USAGE)
            return EXIT_USAGE
    place = os.environ.get("AETHER_NOTICES", "")
    if not place:
        say("AETHER_NOTICES: names no file; set it to the YAML document of the channels")
        return EXIT_SETTINGS
    try:
        channels = load_channels(Path(place))
    except ChannelsInvalid as invalid:
        say(str(invalid))
        return EXIT_SETTINGS
    if words[0] == "check":
        return _check(channels, say)
    return _try(channels, words[1], place, say)


def _check(channels: Sequence[AnyChannel], say: Callable[[str], None]) -> int:
    faults = 0
    for channel in channels:
        try:
            for reference in _references(channel):
                resolve(reference)
        except AetherError as error:
            faults += 1
            say(f"{channel.name} ({channel.kind}): {error.message}")
        else:
            say(f"{channel.name} ({channel.kind}): is well written, and its secrets can be read")
    return EXIT_SETTINGS if faults else 0


def _try(channels: Sequence[AnyChannel], name: str, place: str, say: Callable[[str], None]) -> int:
    channel = next((one for one in channels if one.name == name), None)
    if channel is None:
        known = ", ".join(one.name for one in channels) or "none"
        say(f"{place}: has no channel {name[:60]!r}; there are: {known}")
        return EXIT_USAGE
    clock = SystemClock()
    house = House(os.environ.get("AETHER_ENVIRONMENT", "staging"), os.environ.get("AETHER_CONSOLE_URL") or None)
    now = clock.now()
    notice = trial_of(channel=channel.name, house=house, at=to_text(now), nonce=RandomIds().token(12))
    try:
        done = asyncio.run(sender_of(channel).send(notice, now=now))
    except NotDelivered as failure:
        say(f"{channel.name} ({channel.kind}): not sent: {failure.reason}")
        if failure.said:
            say(f"the other side said: {failure.said}")
        return EXIT_NOT_DELIVERED
    say(f"{channel.name} ({channel.kind}): sent: {done}")
    return 0


def _references(channel: AnyChannel) -> tuple[str, ...]:
    match channel:
        case EmailChannel():
            return () if channel.password is None else (channel.password,)
        case WebhookChannel():
            return (channel.secret,)
        case SlackChannel():
            return (channel.url,)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
