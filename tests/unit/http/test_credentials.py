"""Tokens are asked for once, renewed before they end and forgotten when they are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from shared.errors import NeedsPerson
from shared.http.credentials import Granted, Referenced, Token, plain
from shared.ports.pacing import Use
from shared.secrets import Secret


@dataclass
class Desk:
    """Gives tokens out, one number after the other."""

    lives: Sequence[float] = (3600.0,)
    seconds: float = 0.0
    asked: list[Use] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic_seconds(self) -> float:
        return self.seconds

    async def grant(self, use: Use) -> Token:
        self.asked.append(use)
        await asyncio.sleep(0)
        return Token(f"t{len(self.asked)}", self.lives[min(len(self.asked), len(self.lives)) - 1])


async def test_many_requests_of_one_moment_ask_for_one_token() -> None:
    desk = Desk()
    granted = Granted(desk.grant, clock=desk)
    sent = await asyncio.gather(*(granted.headers("SRC") for _ in range(10)))
    assert desk.asked == ["SRC"]
    assert {one["Authorization"] for one in sent} == {"Bearer t1"}


@pytest.mark.parametrize(("lives", "still_good", "ended"), [(3600.0, 3539.0, 3541.0), (100.0, 89.0, 91.0)])
async def test_a_token_is_renewed_before_it_ends(lives: float, still_good: float, ended: float) -> None:
    desk = Desk(lives=(lives,))
    granted = Granted(desk.grant, clock=desk)
    await granted.headers("SRC")
    desk.seconds = still_good
    assert (await granted.headers("SRC"))["Authorization"] == "Bearer t1"
    desk.seconds = ended
    assert (await granted.headers("APL"))["Authorization"] == "Bearer t2"


async def test_a_refused_token_is_asked_for_anew_once_by_all_who_sent_it() -> None:
    desk = Desk()
    granted = Granted(desk.grant, clock=desk)
    first = await granted.headers("SRC")
    assert granted.forget(first)
    second = await granted.headers("SRC")
    assert granted.forget(first), "somebody who is late with the old one may try the new one"
    assert await granted.headers("SRC") == second


async def test_a_life_that_makes_no_sense_means_a_token_for_one_request() -> None:
    desk = Desk(lives=(-5.0, 3600.0))
    granted = Granted(desk.grant, clock=desk)
    await granted.headers("SRC")
    assert (await granted.headers("SRC"))["Authorization"] == "Bearer t2"


@pytest.mark.parametrize("text", ["", "with blank", "new\nline", "ümlaut"])
def test_what_cannot_stand_in_a_header_is_named_by_its_reference_and_never_shown(text: str) -> None:
    with pytest.raises(NeedsPerson, match="env:TOKEN") as caught:
        plain(Secret(text), reference="env:TOKEN")
    assert caught.value.code == "SYS_SECRET"
    assert not text or text not in str(caught.value)


# --- a secret that is read again --------------------------------------------------------------------------------------


class Place:
    """Where a secret lies."""

    def __init__(self, secret: str) -> None:
        self.secret: str | None = secret
        self.read = 0

    def headers(self) -> dict[str, str]:
        self.read += 1
        if self.secret is None:
            raise NeedsPerson("SYS_SECRET", "file:/x: No such file or directory")
        return {"Authorization": f"Bearer {self.secret}"}


async def test_a_refused_secret_is_read_again_and_sent_again_only_when_it_is_another() -> None:
    place = Place("one")
    credential = Referenced(place.headers)
    sent = await credential.headers("APL")
    assert not credential.forget(sent)
    place.secret = "two"
    assert await credential.headers("APL") == sent, "it is read again only when it was refused"
    assert credential.forget(sent)
    assert await credential.headers("APL") == {"Authorization": "Bearer two"}
    assert place.read == 3


async def test_a_secret_that_somebody_else_has_read_again_is_not_read_once_more() -> None:
    place = Place("one")
    credential = Referenced(place.headers)
    sent = await credential.headers("APL")
    place.secret = "two"
    assert credential.forget(sent) and credential.forget(sent)
    assert place.read == 2


async def test_a_secret_that_is_gone_leaves_the_refusal_to_speak() -> None:
    place = Place("one")
    credential = Referenced(place.headers)
    place.secret = None
    assert not credential.forget(await credential.headers("APL"))
