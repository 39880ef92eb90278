"""Walks through lists: a first page fixes the order of ids, opaque tokens lead on (P3, P4, P5).

A record deleted during a walk is left out of its later pages, one created meanwhile is not shown: nothing is promised
over pages. Memory is bounded; the oldest walk is forgotten first, and its tokens with it.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from simulators.google_directory.errors import Refused

WALKS_MAX = 64
TOKENS_MAX = 10_000
NOT_PART_OF_A_WALK = frozenset({"pageToken", "maxResults", "fields", "prettyPrint", "alt", "key", "quotaUser"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One list as it was when its first page was asked for."""

    number: int
    asked: tuple[str, ...]
    """The list and the parameters that make it; a token is good for no other."""
    ids: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    walk: int
    offset: int
    issued: datetime


class Walks:
    """The walks that are under way."""

    def __init__(self) -> None:
        self._walks: OrderedDict[int, Walk] = OrderedDict()
        self._tokens: OrderedDict[str, _Token] = OrderedDict()
        self._number = 0

    def start(self, asked: tuple[str, ...], ids: list[str]) -> Walk:
        """Begin a walk; it is remembered once a token leads on."""
        self._number += 1
        return Walk(number=self._number, asked=asked, ids=ids)

    def resume(self, token: str, asked: tuple[str, ...], *, now: datetime, seconds_max: float) -> tuple[Walk, int]:
        """Find the walk and the offset a token stands for."""
        known = self._tokens.get(token)
        walk = self._walks.get(known.walk) if known is not None else None
        if known is None or walk is None:
            raise Refused("invalid", "Invalid Input: pageToken")
        if walk.asked != asked:
            raise Refused("invalid", "Invalid Input: pageToken", rule="P5")
        if (now - known.issued).total_seconds() >= seconds_max:
            raise Refused("invalid", "Invalid Input: pageToken")
        return walk, known.offset

    def token(self, walk: Walk, *, offset: int, now: datetime) -> str:
        """Give the token that leads on from an offset."""
        self._walks[walk.number] = walk
        self._walks.move_to_end(walk.number)
        while len(self._walks) > WALKS_MAX:
            self._walks.popitem(last=False)
        text = hashlib.sha256(f"page {walk.number} {offset}".encode()).hexdigest()[:40]
        self._tokens.setdefault(text, _Token(walk=walk.number, offset=offset, issued=now))
        while len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        return text


def asked_for(name: str, keys: dict[str, str], query: dict[str, str]) -> tuple[str, ...]:
    """Name a list and the parameters that make it."""
    kept = {key: value for key, value in query.items() if key not in NOT_PART_OF_A_WALK}
    return (name, *(f"{key}={value}" for key, value in sorted((keys | kept).items())))
