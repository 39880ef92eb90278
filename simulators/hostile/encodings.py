"""Nasty declarations: what an answer says it is, and is not; and bodies that are small until they are unpacked."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from functools import cache

from simulators.hostile.contents import renamed
from simulators.hostile.script import Ask, Card, End, Steps, chunk

CARD = Card(is_everywhere=True)
BOMB_BYTES = 256 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024
ACCENTED = "Jos\u00e9"
"""A name for which it matters in which encoding it is read."""


def _accented(ask: Ask) -> str:
    return json.dumps(renamed(ask, ACCENTED), ensure_ascii=False)


@CARD.add("refuse")
def html_page(ask: Ask) -> Steps:
    """A sign-in page under 200."""
    page = b"<!doctype html><html><body><form>Please sign in.</form></body></html>"
    yield ask.honest(body=page, content_type="text/html; charset=utf-8")


@CARD.add("refuse")
def html_page_called_json(ask: Ask) -> Steps:
    """The same page under a JSON label."""
    yield ask.honest(body=b"<!doctype html><html><body>Please sign in.</body></html>")


@CARD.add("either")
def json_called_html(ask: Ask) -> Steps:
    """JSON under a page's label."""
    yield ask.honest(content_type="text/html")


@CARD.add("either")
def json_called_bytes(ask: Ask) -> Steps:
    """JSON under the label for anything."""
    yield ask.honest(content_type="application/octet-stream")


@CARD.add("either")
def content_type_missing(ask: Ask) -> Steps:
    """No label."""
    yield ask.honest(content_type=None)


@CARD.add("either")
def content_type_garbage(ask: Ask) -> Steps:
    """A label that nobody can read."""
    yield ask.honest(content_type=";;=/\t,application")


@CARD.add("either")
def content_type_twice(ask: Ask) -> Steps:
    """Two labels that differ."""
    yield ask.honest(headers=[("Content-Type", "text/html")])


@CARD.add("accept")
def content_type_in_odd_case(ask: Ask) -> Steps:
    """The right label in odd letters and with odd blanks, which means the same."""
    yield ask.honest(content_type='APPLICATION/Json ;  CharSet="UTF-8"')


@CARD.add("either", renames=ACCENTED)
def charset_wrong(ask: Ask) -> Steps:
    """UTF-8 called Latin-1: JSON is UTF-8 whatever is said, and a reader who obeys changes names."""
    yield ask.honest(body=_accented(ask).encode(), content_type="application/json; charset=iso-8859-1")


@CARD.add("either", renames=ACCENTED)
def charset_old(ask: Ask) -> Steps:
    """Latin-1 that is called so: legal for a text, not for JSON."""
    yield ask.honest(body=_accented(ask).encode("latin-1"), content_type="application/json; charset=iso-8859-1")


@CARD.add("either", renames=ACCENTED)
def charset_unknown(ask: Ask) -> Steps:
    """UTF-8 under a name that no codec has."""
    yield ask.honest(body=_accented(ask).encode(), content_type="application/json; charset=klingon")


@CARD.add("accept")
def gzip_honest(ask: Ask) -> Steps:
    """Packed, if the client takes it so; plain if not."""
    if not ask.takes_gzip:
        yield ask.honest()
        return
    yield ask.honest(body=gzip.compress(ask.body()), headers=[("Content-Encoding", "gzip")])


@CARD.add("either")
def gzip_unasked(ask: Ask) -> Steps:
    """Packed, whatever the client takes."""
    yield ask.honest(body=gzip.compress(ask.body()), headers=[("Content-Encoding", "gzip")])


@CARD.add("refuse")
def gzip_bomb(ask: Ask) -> Steps:
    """A quarter of a megabyte that becomes 256 of them; plain white space of that size if the client takes no gzip."""
    yield from _bomb(ask, layers=1)


@CARD.add("refuse")
def gzip_bomb_in_gzip(ask: Ask) -> Steps:
    """The same, packed twice: a few kilobytes."""
    yield from _bomb(ask, layers=2)


@CARD.add("refuse")
def gzip_cut(ask: Ask) -> Steps:
    """Half of a packed body, in a frame that fits the half."""
    packed = gzip.compress(ask.body())
    yield ask.honest(body=packed[: len(packed) // 2], headers=[("Content-Encoding", "gzip")])


@CARD.add("refuse")
def gzip_damaged(ask: Ask) -> Steps:
    """A packed body whose last bytes, its checksum, are of another one."""
    packed = gzip.compress(ask.body())
    damaged = packed[:-8] + bytes(byte ^ 0xFF for byte in packed[-8:])
    yield ask.honest(body=damaged, headers=[("Content-Encoding", "gzip")])


@CARD.add("refuse")
def gzip_called_only(ask: Ask) -> Steps:
    """A plain body under the label of a packed one."""
    yield ask.honest(headers=[("Content-Encoding", "gzip")])


@CARD.add("either")
def encoding_unknown(ask: Ask) -> Steps:
    """A plain body, packed in a way that nobody knows, it says."""
    yield ask.honest(headers=[("Content-Encoding", "zzz")])


def _bomb(ask: Ask, *, layers: int) -> Steps:
    body = b'{"total":6,"items":[{"id":1,"name":"'
    if ask.takes_gzip:
        packed = _packed(layers)
        yield ask.honest(body=packed, headers=[("Content-Encoding", ", ".join(["gzip"] * layers))])
        return
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body)
    for _ in range(BOMB_BYTES // BLOCK_BYTES):
        yield chunk(b" " * BLOCK_BYTES)
    yield End.CLOSE


@cache
def _packed(layers: int) -> bytes:
    """Whole and right gzip of the start of a document and `BOMB_BYTES` blanks; one block is packed and repeated."""
    if layers > 1:
        return gzip.compress(_packed(layers - 1), 9)
    start, block = b'{"total":6,"items":[{"id":1,"name":"', b" " * BLOCK_BYTES
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    opening = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # after a full flush it refers to nothing before
    count, check = BOMB_BYTES // BLOCK_BYTES, zlib.crc32(start)
    for _ in range(count):
        check = zlib.crc32(block, check)
    tail = struct.pack("<II", check, len(start) + BOMB_BYTES)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + opening + packed * count + packer.flush() + tail
