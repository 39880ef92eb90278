"""The six forms in which Klaxon Alerts cuts a list into pages, and where its answer holds items, total and the way on.

Pure: what a call asks for, and what the answer to it looks like. Positions are the kit's business.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from simulators.alerts.switches import AlertsSwitches, PagingForm
from simulators.kit.gateway import Call
from simulators.kit.paging import Page

PAGE_SIZE_DEFAULT = 10
PAGE_NUMBER_MAX = 10**12
PARAMETERS: dict[PagingForm, frozenset[str]] = {
    "page_number": frozenset({"pageNumber", "pageSize"}),
    "none": frozenset(),
    "offset_limit": frozenset({"offset", "limit"}),
    "cursor": frozenset({"cursor", "limit"}),
    "link_header": frozenset({"page", "perPage"}),
    "page_header": frozenset({"pageSize"}),
}
"""The query parameters each form knows; those of another form are ignored, as vendors do."""


class BadPageError(Exception):
    """The call asks for a page that cannot be."""


def asked(call: Call, switches: AlertsSwitches, *, total: int) -> tuple[int, int]:
    """Say which offset and how many items a call asks for."""
    query, most = call.query, switches.page_size_max
    match switches.paging:
        case "none":  # K11
            return 0, max(1, total)
        case "offset_limit":  # K12
            limit = _whole(query, "limit", default=PAGE_SIZE_DEFAULT, least=1, most=most)
            return _whole(query, "offset", default=0, least=0, most=PAGE_NUMBER_MAX), limit
        case "cursor":  # K13
            limit = _whole(query, "limit", default=PAGE_SIZE_DEFAULT, least=1, most=most)
            return _position(query["cursor"]) if "cursor" in query else 0, limit
        case "page_number":  # K10
            size = _whole(query, "pageSize", default=PAGE_SIZE_DEFAULT, least=1, most=most)
            number = _whole(query, "pageNumber", default=1, least=1, most=PAGE_NUMBER_MAX)
        case "link_header":  # K14
            size = _whole(query, "perPage", default=PAGE_SIZE_DEFAULT, least=1, most=most)
            number = _whole(query, "page", default=1, least=1, most=PAGE_NUMBER_MAX)
        case "page_header":  # K15
            size = _whole(query, "pageSize", default=PAGE_SIZE_DEFAULT, least=1, most=most)
            number = _whole(call.headers, "page", default=1, least=1, most=PAGE_NUMBER_MAX)
    return (number - 1) * size, size


def listed(
    call: Call, switches: AlertsSwitches, *, page: Page, window: slice, items: Sequence[object]
) -> tuple[object, dict[str, str]]:
    """Build the answer to a list request: its document and its headers."""
    headers: dict[str, str] = {"X-Total-Count": str(page.total)} if switches.is_total_in_header else {}
    pages = math.ceil(page.total / page.limit)
    has_more = window.stop < page.total
    if switches.paging == "page_header":
        headers["total-pages"] = str(pages)
    if switches.paging == "link_header":
        headers |= _links(call, number=page.offset // page.limit + 1, pages=pages, has_more=has_more)
    if switches.items_pointer == "":
        return list(items), headers
    document: dict[str, Any] = {}
    _put(document, switches.items_pointer, list(items))
    if switches.total_pointer:
        _put(document, switches.total_pointer, page.total)
    if switches.paging == "cursor":
        _put(document, switches.cursor_pointer, _cursor(page.offset + len(items)) if has_more else None)
    return {"message": "OK"} | document, headers


def _whole(texts: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    text = texts.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= 15
    if not is_number or not least <= int(text) <= most:
        raise BadPageError(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"kx:{position}".encode()).decode().rstrip("=")


def _position(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
    except ValueError as error:
        raise BadPageError("cursor is none of this vendor's") from error
    prefix, _, number = text.partition(":")
    if prefix != "kx" or not (number.isascii() and number.isdigit() and len(number) <= 15):
        raise BadPageError("cursor is none of this vendor's")
    return int(number)


def _links(call: Call, *, number: int, pages: int, has_more: bool) -> dict[str, str]:
    base = f"http://{call.headers.get('host', 'localhost')}{call.path}"
    targets = {"first": 1, "last": max(1, pages)}
    if has_more:
        targets["next"] = number + 1
    if number > 1:
        targets["prev"] = number - 1
    links = [f'<{base}?{urlencode(call.query | {"page": str(page)})}>; rel="{name}"' for name, page in targets.items()]
    return {"Link": ", ".join(links)}


def _put(document: dict[str, Any], pointer: str, value: object) -> None:
    *way, last = pointer.split("/")[1:]
    for name in way:
        document = document.setdefault(name, {})
    document[last] = value
