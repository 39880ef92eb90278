"""Nasty walks: totals that lie, pages that repeat, cursors and links that lead nowhere, in honest frames."""

from __future__ import annotations

from simulators.hostile.script import ITEMS, STRANGE, Ask, Card, Part, Steps, encoded, message

CARD = Card(reach="total")


@CARD.add("refuse")
def total_grows(ask: Ask) -> Steps:
    """Every page says one more than the page before it."""
    return ask.page(total=ask.total + 1 + ask.offset)


@CARD.add("refuse")
def total_shrinks(ask: Ask) -> Steps:
    """Every later page says less: something went while we read."""
    return ask.page(total=ask.total + 3 - ask.offset)


@CARD.add("refuse")
def total_too_high(ask: Ask) -> Steps:
    """Two more are promised than there are."""
    return ask.page(total=ask.total + 2)


@CARD.add("refuse")
def total_too_low(ask: Ask) -> Steps:
    """One is promised, and a page has more."""
    return ask.page(total=1)


@CARD.add("refuse")
def total_zero(ask: Ask) -> Steps:
    """None are promised, and there are some."""
    return ask.page(total=0)


@CARD.add("refuse")
def total_negative(ask: Ask) -> Steps:
    """Less than nothing."""
    return ask.page(total=-1)


@CARD.add("refuse")
def total_gigantic(ask: Ask) -> Steps:
    """More than 64 bits can count: nobody may reserve room for it."""
    return ask.page(total=2**64)


@CARD.add("refuse")
def total_as_text(ask: Ask) -> Steps:
    """The right number, as text: another type than was agreed."""
    return ask.page(total=str(ask.total))


@CARD.add("refuse")
def total_with_a_fraction(ask: Ask) -> Steps:
    """Six and a half items."""
    return ask.page(total=ask.total + 0.5)


@CARD.add("refuse")
def total_as_truth(ask: Ask) -> Steps:
    """`true`, which some languages take for 1."""
    return ask.page(total=True)


@CARD.add("refuse")
def total_missing(ask: Ask) -> Steps:
    """No total, so nobody can say that all came."""
    return ask.page(total=Part.LEFT_OUT)


@CARD.add("refuse")
def total_null(ask: Ask) -> Steps:
    """A total of null."""
    return ask.page(total=None)


@CARD.add("refuse", reach="list")
def pages_without_end(ask: Ask) -> Steps:
    """Every page is full of new items and promises another."""
    numbers = range(ask.offset + 1, ask.offset + ask.limit + 1)
    items = [ask.invented(number) for number in numbers]
    return ask.page(items=items, total=ask.offset + ask.limit + 1, cursor=ask.cursor_onward())


@CARD.add("refuse", reach="list")
def page_repeats(ask: Ask) -> Steps:
    """The first page, whatever is asked for."""
    return ask.page(items=ask.first_items())


@CARD.add("refuse", reach="list")
def page_overlaps(ask: Ask) -> Steps:
    """Every later page begins with the last item of the page before."""
    return ask.page(items=[*ask.items_before()[-1:], *ask.items()][: ask.limit])


@CARD.add("refuse", reach="list")
def page_empty_in_the_middle(ask: Ask) -> Steps:
    """The second page is empty although the total promises more."""
    return ask.page(items=ask.items() if ask.offset == 0 else [])


@CARD.add("refuse", reach="list")
def page_of_items_twice(ask: Ask) -> Steps:
    """Each item of a page comes twice, so the count is reached half-way."""
    return ask.page(items=[item for item in ask.items() for _ in (1, 2)])


@CARD.add("refuse", reach="list")
def page_with_one_item_for_another(ask: Ask) -> Steps:
    """The first item of a page stands in the place of its last one too: the count is right, and one is missing."""
    items = ask.items()
    return ask.page(items=[*items[:-1], *items[:1]] if len(items) > 1 else items)


@CARD.add("either", reach="own")
def page_over_the_limit(ask: Ask) -> Steps:
    """The whole list, however few were asked for."""
    return ask.page(items=[dict(item) for item in ITEMS])


@CARD.add("refuse", resource="feed", reach="cursor")
def cursor_repeats(ask: Ask) -> Steps:
    """The next cursor is always the same, and so is its page."""
    return ask.page(items=ask.first_items(), cursor=ask.second_cursor())


@CARD.add("refuse", resource="feed", reach="cursor")
def cursor_goes_in_a_circle(ask: Ask) -> Steps:
    """The last page leads back to the first."""
    return ask.page(cursor=ask.next_cursor() or ask.first_cursor())


@CARD.add("refuse", resource="feed", reach="cursor")
def cursor_without_end(ask: Ask) -> Steps:
    """Always another cursor, and no item any more."""
    return ask.page(cursor=ask.cursor_onward())


@CARD.add("refuse", resource="feed", reach="cursor")
def cursor_of_another_type(ask: Ask) -> Steps:
    """The cursor is an object."""
    return ask.page(cursor={"after": ask.offset + 2})


@CARD.add("refuse", resource="feed", reach="cursor")
def cursor_missing(ask: Ask) -> Steps:
    """No cursor where null was agreed for the end: the end, or a torn answer?"""
    return ask.page(cursor=Part.LEFT_OUT)


@CARD.add("refuse", resource="feed", reach="cursor")
def cursor_of_a_megabyte(ask: Ask) -> Steps:
    """A cursor that fits no address."""
    return ask.page(cursor="c2" + "x" * 1_000_000)


@CARD.add("accept", resource="feed", reach="cursor")
def cursor_of_strange_signs(ask: Ask) -> Steps:
    """A cursor that means something else in an address unless it is encoded."""
    if not ask.is_cursor_whole():
        return ask.page(items=[ask.invented(666)], cursor=None)
    cursor = ask.next_cursor()
    return ask.page(cursor=f"{cursor}{STRANGE}" if cursor is not None else None)


def _linked(ask: Ask, target: str) -> Steps:
    yield message(encoded(ask.items()), headers=[("Link", f'<{target}>; rel="next"')])


@CARD.add("refuse", resource="linked", reach="own")
def link_to_another_host(ask: Ask) -> Steps:
    """The next page is on a stranger's server, who would get the credential."""
    return _linked(ask, f"{ask.stranger}/linked?cursor=c2")


@CARD.add("refuse", resource="linked", reach="own")
def link_to_a_file(ask: Ask) -> Steps:
    """The next page is a file of the reader's own machine."""
    return _linked(ask, "file:///etc/hostname")


@CARD.add("refuse", resource="linked", reach="own")
def link_in_a_circle(ask: Ask) -> Steps:
    """Every page links to itself."""
    return _linked(ask, f"{ask.base}?cursor=c{ask.offset}")


@CARD.add("refuse", resource="linked", reach="own")
def link_is_garbage(ask: Ask) -> Steps:
    """The next page has no address that can be read."""
    return _linked(ask, "http://[::1:bad/\\?")


@CARD.add("accept", resource="linked", reach="own")
def link_among_many(ask: Ask) -> Steps:
    """The honest link among a hundred of other relations, with parameters in odd order and case."""
    others = ", ".join(f'<{ask.stranger}/{number}>; rel="x{number}"; title="a, b; rel=next"' for number in range(100))
    cursor = ask.next_cursor()
    link = f'{others}, <{ask.base}?cursor={cursor}>; title="on" ; REL=next' if cursor else others
    yield message(encoded(ask.items()), headers=[("LINK", link)])
