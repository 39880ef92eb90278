"""Nasty walks: totals that lie, pages that repeat, cursors and links that lead nowhere, in honest frames."""

from __future__ import annotations

from typing import Any

from simulators.hostile.script import ITEMS, Ask, Card, Steps, encoded, message

CARD = Card()
TOTAL = len(ITEMS)


def _total(ask: Ask, total: object) -> Any:
    return {"total": total, "items": ask.items()}


@CARD.add("refuse")
def total_grows(ask: Ask) -> Any:
    """Every page says one more than the page before it."""
    return _total(ask, TOTAL + 1 + ask.offset)


@CARD.add("refuse")
def total_shrinks(ask: Ask) -> Any:
    """Every later page says less: something went while we read."""
    return _total(ask, TOTAL + 3 - ask.offset)


@CARD.add("refuse")
def total_too_high(ask: Ask) -> Any:
    """Two more are promised than there are."""
    return _total(ask, TOTAL + 2)


@CARD.add("refuse")
def total_too_low(ask: Ask) -> Any:
    """One is promised, and a page has more."""
    return _total(ask, 1)


@CARD.add("refuse")
def total_zero(ask: Ask) -> Any:
    """None are promised, and there are some."""
    return _total(ask, 0)


@CARD.add("refuse")
def total_negative(ask: Ask) -> Any:
    """Less than nothing."""
    return _total(ask, -1)


@CARD.add("refuse")
def total_gigantic(ask: Ask) -> Any:
    """More than 64 bits can count: nobody may reserve room for it."""
    return _total(ask, 2**64)


@CARD.add("refuse")
def total_as_text(ask: Ask) -> Any:
    """The right number, as text: another type than was agreed."""
    return _total(ask, str(TOTAL))


@CARD.add("refuse")
def total_with_a_fraction(ask: Ask) -> Any:
    """Six and a half items."""
    return _total(ask, TOTAL + 0.5)


@CARD.add("refuse")
def total_as_truth(ask: Ask) -> Any:
    """`true`, which some languages take for 1."""
    return _total(ask, True)


@CARD.add("refuse")
def total_missing(ask: Ask) -> Any:
    """No total, so nobody can say that all came."""
    return {"items": ask.items()}


@CARD.add("refuse")
def total_null(ask: Ask) -> Any:
    """A total of null."""
    return _total(ask, None)


@CARD.add("refuse")
def pages_without_end(ask: Ask) -> Any:
    """Every page is full of new items and promises another."""
    numbers = range(ask.offset + 1, ask.offset + ask.limit + 1)
    items = [{"id": number, "name": f"Sample {number}"} for number in numbers]
    return {"total": ask.offset + ask.limit + 1, "items": items}


@CARD.add("refuse")
def page_repeats(ask: Ask) -> Any:
    """The first page, whatever is asked for."""
    return {"total": TOTAL, "items": [dict(item) for item in ITEMS[: ask.limit]]}


@CARD.add("refuse")
def page_overlaps(ask: Ask) -> Any:
    """Every later page begins with the last item of the page before."""
    start = max(0, ask.offset - 1)
    return {"total": TOTAL, "items": [dict(item) for item in ITEMS[start : start + ask.limit]]}


@CARD.add("refuse")
def page_empty_in_the_middle(ask: Ask) -> Any:
    """The second page is empty although the total promises more."""
    return {"total": TOTAL, "items": ask.items() if ask.offset == 0 else []}


@CARD.add("refuse")
def page_of_items_twice(ask: Ask) -> Any:
    """Each item of a page comes twice, so the count is reached half-way."""
    return {"total": TOTAL, "items": [item for item in ask.items() for _ in (1, 2)]}


@CARD.add("either")
def page_over_the_limit(ask: Ask) -> Any:
    """The whole list, however few were asked for."""
    return {"total": TOTAL, "items": [dict(item) for item in ITEMS]}


@CARD.add("refuse", resource="feed")
def cursor_repeats(ask: Ask) -> Any:
    """The next cursor is always the same, and so is its page."""
    return {"items": [dict(item) for item in ITEMS[:2]], "next": "c2"}


@CARD.add("refuse", resource="feed")
def cursor_goes_in_a_circle(ask: Ask) -> Any:
    """The last page leads back to the first."""
    return {"items": ask.items(), "next": ask.next_cursor() or "c0"}


@CARD.add("refuse", resource="feed")
def cursor_without_end(ask: Ask) -> Any:
    """Always another cursor, and no item any more."""
    return {"items": ask.items(), "next": f"c{ask.offset + 2}"}


@CARD.add("refuse", resource="feed")
def cursor_of_another_type(ask: Ask) -> Any:
    """The cursor is an object."""
    return {"items": ask.items(), "next": {"after": ask.offset + 2}}


@CARD.add("refuse", resource="feed")
def cursor_missing(ask: Ask) -> Any:
    """No cursor where null was agreed for the end: the end, or a torn answer?"""
    return {"items": ask.items()}


@CARD.add("refuse", resource="feed")
def cursor_of_a_megabyte(ask: Ask) -> Any:
    """A cursor that fits no address."""
    return {"items": ask.items(), "next": "c2" + "x" * 1_000_000}


@CARD.add("accept", resource="feed")
def cursor_of_strange_signs(ask: Ask) -> Any:
    """A cursor that means something else in an address unless it is encoded."""
    strange = "&cursor=c0#?/%2e \r\n\u00eb"
    if ask.query.get("cursor", f"c0{strange}") != f"c{ask.offset}{strange}":
        return {"items": [{"id": 666, "name": "Mallory"}], "next": None}
    cursor = ask.next_cursor()
    return {"items": ask.items(), "next": f"{cursor}{strange}" if cursor is not None else None}


def _linked(ask: Ask, target: str) -> Steps:
    yield message(encoded(ask.items()), headers=[("Link", f'<{target}>; rel="next"')])


@CARD.add("refuse", resource="linked")
def link_to_another_host(ask: Ask) -> Steps:
    """The next page is on a stranger's server, who would get the credential."""
    return _linked(ask, f"{ask.stranger}/linked?cursor=c2")


@CARD.add("refuse", resource="linked")
def link_to_a_file(ask: Ask) -> Steps:
    """The next page is a file of the reader's own machine."""
    return _linked(ask, "file:///etc/hostname")


@CARD.add("refuse", resource="linked")
def link_in_a_circle(ask: Ask) -> Steps:
    """Every page links to itself."""
    return _linked(ask, f"{ask.base}?cursor=c{ask.offset}")


@CARD.add("refuse", resource="linked")
def link_is_garbage(ask: Ask) -> Steps:
    """The next page has no address that can be read."""
    return _linked(ask, "http://[::1:bad/\\?")


@CARD.add("accept", resource="linked")
def link_among_many(ask: Ask) -> Steps:
    """The honest link among a hundred of other relations, with parameters in odd order and case."""
    others = ", ".join(f'<{ask.stranger}/{number}>; rel="x{number}"; title="a, b; rel=next"' for number in range(100))
    cursor = ask.next_cursor()
    link = f'{others}, <{ask.base}?cursor={cursor}>; title="on" ; REL=next' if cursor else others
    yield message(encoded(ask.items()), headers=[("LINK", link)])
