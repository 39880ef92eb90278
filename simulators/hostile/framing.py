"""Nasty frames: HTTP messages that end too early, too late, or that two readers would cut differently."""

from __future__ import annotations

from simulators.hostile.script import Act, Ask, Card, End, Steps, chunk, message

CARD = Card(is_everywhere=True)


def cut_after(count: int) -> Act:
    """Close the connection after this many bytes of the honest answer."""

    def act(ask: Ask) -> Steps:
        yield ask.honest()[:count]
        yield End.CLOSE

    return act


def _chunked(ask: Ask) -> str:
    """The head of the honest answer, but for its last line, with chunks announced in the place of a length."""
    head, _, _ = ask.honest(has_length=False, headers=[("Transfer-Encoding", "chunked")]).partition(b"\r\n\r\n")
    return head.decode("latin-1") + "\r\n"


def _cut_where(ask: Ask, *, after_head: int) -> Steps:
    whole = ask.honest()
    yield whole[: whole.index(b"\r\n\r\n") + 4 + after_head]
    yield End.CLOSE


@CARD.add("refuse")
def cut_before_any_byte(ask: Ask) -> Steps:
    """The connection closes unanswered."""
    yield from cut_after(0)(ask)


@CARD.add("refuse")
def cut_in_status_line(ask: Ask) -> Steps:
    """The connection closes in the middle of the status."""
    yield from cut_after(10)(ask)


@CARD.add("refuse")
def cut_in_headers(ask: Ask) -> Steps:
    """The connection closes in the middle of a header."""
    yield from cut_after(30)(ask)


@CARD.add("refuse")
def cut_before_body(ask: Ask) -> Steps:
    """The connection closes between head and body; an answer without a body, it seems."""
    yield from _cut_where(ask, after_head=0)


@CARD.add("refuse")
def cut_in_body(ask: Ask) -> Steps:
    """The connection closes in the middle of the body."""
    yield from _cut_where(ask, after_head=20)


@CARD.add("refuse")
def cut_one_byte_short(ask: Ask) -> Steps:
    """The connection closes one byte before the end."""
    yield ask.honest()[:-1]
    yield End.CLOSE


@CARD.add("refuse")
def cut_in_white_space(ask: Ask) -> Steps:
    """The document is whole, and the blanks that should follow it are not: the message is incomplete."""
    yield ask.honest(body=ask.body() + b" " * 100)[:-50]
    yield End.CLOSE


@CARD.add("refuse")
def cut_by_reset(ask: Ask) -> Steps:
    """The connection is reset in the middle of the body."""
    yield ask.honest()[:-20]
    yield End.RESET


@CARD.add("refuse")
def cut_without_length(ask: Ask) -> Steps:
    """A body that ends with the connection, too early: only the JSON tells."""
    yield message(ask.body()[:-5], has_length=False)
    yield End.CLOSE


@CARD.add("refuse")
def head_only(ask: Ask) -> Steps:
    """What HEAD would get: a length and no body, and a close."""
    yield from _cut_where(ask, after_head=0)


@CARD.add("accept")
def body_ends_with_connection(ask: Ask) -> Steps:
    """No length and no chunks: the body is whole when the connection closes."""
    yield ask.honest(has_length=False)
    yield End.CLOSE


@CARD.add("accept")
def http_1_0(ask: Ask) -> Steps:
    """An answer of the older protocol, after which the connection closes."""
    yield ask.honest(version="HTTP/1.0")
    yield End.CLOSE


@CARD.add("refuse")
def http_0_9(ask: Ask) -> Steps:
    """A body without a head."""
    yield ask.body()
    yield End.CLOSE


@CARD.add("either")
def http_9_9(ask: Ask) -> Steps:
    """The answer of a protocol that does not exist, in every other way right."""
    yield ask.honest(version="HTTP/9.9")
    yield End.CLOSE


@CARD.add("refuse")
def other_protocol(ask: Ask) -> Steps:
    """The greeting of a mail server."""
    yield b"220 mail.example.org ESMTP ready\r\n"
    yield End.CLOSE


@CARD.add("accept")
def chunks_of_one_byte(ask: Ask) -> Steps:
    """Every byte in a chunk of its own."""
    yield f"{_chunked(ask)}\r\n".encode() + b"".join(chunk(bytes([byte])) for byte in ask.body()) + chunk(b"")


@CARD.add("accept")
def chunks_with_trimmings(ask: Ask) -> Steps:
    """Chunk extensions, sizes with zeros before them, and trailers that contradict the head."""
    body = ask.body()
    size = f"0000{len(body):X}"
    head = f"{_chunked(ask)}Trailer: X-Check\r\n\r\n{size};name=value\r\n"
    yield head.encode() + body + b"\r\n0;last\r\nX-Check: 1\r\nContent-Type: text/html\r\n\r\n"


@CARD.add("refuse")
def chunks_without_last(ask: Ask) -> Steps:
    """The document is whole, and the chunk that says so is missing."""
    yield f"{_chunked(ask)}\r\n".encode() + chunk(ask.body())
    yield End.CLOSE


@CARD.add("refuse")
def chunk_size_garbage(ask: Ask) -> Steps:
    """A chunk whose size is no number."""
    yield f"{_chunked(ask)}\r\nzz\r\n".encode() + ask.body() + b"\r\n0\r\n\r\n"
    yield End.CLOSE


@CARD.add("refuse")
def chunk_size_negative(ask: Ask) -> Steps:
    """A chunk of less than nothing."""
    yield f"{_chunked(ask)}\r\n-{len(ask.body()):x}\r\n".encode() + ask.body() + b"\r\n0\r\n\r\n"
    yield End.CLOSE


@CARD.add("refuse")
def chunk_size_beyond_64_bits(ask: Ask) -> Steps:
    """A chunk larger than any machine, which some readers wrap round."""
    yield f"{_chunked(ask)}\r\n1{'0' * 15}{len(ask.body()):04x}\r\n".encode() + ask.body() + b"\r\n0\r\n\r\n"
    yield End.CLOSE


@CARD.add("either")
def chunked_with_length(ask: Ask) -> Steps:
    """Chunks and a length that says less: the chunks count, or nothing does (RFC 9112 6.3)."""
    yield f"{_chunked(ask)}Content-Length: 4\r\n\r\n".encode() + chunk(ask.body()) + chunk(b"")
    yield End.CLOSE


@CARD.add("refuse")
def lengths_that_differ(ask: Ask) -> Steps:
    """Two lengths: an error that cannot be mended (RFC 9112 6.3)."""
    yield ask.honest(headers=[("Content-Length", "12")])
    yield End.CLOSE


@CARD.add("refuse")
def length_negative(ask: Ask) -> Steps:
    """A length of less than nothing."""
    yield ask.honest(has_length=False, headers=[("Content-Length", "-1")])
    yield End.CLOSE


@CARD.add("refuse")
def length_garbage(ask: Ask) -> Steps:
    """A length that is no number."""
    yield ask.honest(has_length=False, headers=[("Content-Length", "many")])
    yield End.CLOSE


@CARD.add("refuse")
def length_too_long(ask: Ask) -> Steps:
    """More is announced than comes."""
    yield ask.honest(has_length=False, headers=[("Content-Length", str(len(ask.body()) + 100))])
    yield End.CLOSE


@CARD.add("refuse")
def length_too_short(ask: Ask) -> Steps:
    """Less is announced than comes; what is read is half a document."""
    yield ask.honest(has_length=False, headers=[("Content-Length", str(len(ask.body()) // 2))])


@CARD.add("either")
def answer_with_another_behind_it(ask: Ask) -> Steps:
    """After the honest answer a second one nobody asked for, which the next request on this connection would get."""
    yield ask.honest() + ask.unasked()  # who reads it takes it for the answer to the next request


@CARD.add("either")
def answer_with_bytes_behind_it(ask: Ask) -> Steps:
    """A few bytes after the honest answer, before the next one."""
    yield ask.honest() + b"\r\n\0\0garbage"


@CARD.add("either")
def connection_closed_after_answer(ask: Ask) -> Steps:
    """Nothing says so, but after each answer the connection is gone; a read that meets this may be asked again."""
    yield ask.honest()
    yield End.CLOSE


@CARD.add("accept")
def header_names_in_odd_case(ask: Ask) -> Steps:
    """Names of headers in odd letters and odd blanks around their values, which mean the same."""
    head, _, body = ask.honest().partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    parts = (header.partition(b": ") for header in headers)
    odd = [name.swapcase() + b":\t" + value + b"  " for name, _, value in parts]
    yield b"\r\n".join([status, *odd]) + b"\r\n\r\n" + body


@CARD.add("either")
def header_of_100_kilobytes(ask: Ask) -> Steps:
    """One header as long as a book."""
    yield ask.honest(headers=[("X-Long", "x" * 100_000)])


@CARD.add("either")
def headers_by_the_thousand(ask: Ask) -> Steps:
    """Ten thousand headers."""
    yield ask.honest(headers=[(f"X-{number}", "x") for number in range(10_000)])


@CARD.add("refuse")
def headers_without_end(ask: Ask) -> Steps:
    """A head that never ends, up to a gigabyte."""
    yield b"HTTP/1.1 200 OK\r\n"
    block = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1_000) for number in range(64))
    for _ in range(16_384):
        yield block
    yield End.CLOSE


@CARD.add("either")
def header_folded(ask: Ask) -> Steps:
    """A header that goes on in the next line, as was once allowed."""
    yield ask.honest(headers=[("X-Folded", "one\r\n two")])


@CARD.add("either")
def header_without_colon(ask: Ask) -> Steps:
    """A line in the head that is no header."""
    whole = ask.honest()
    end = whole.index(b"\r\n") + 2
    yield whole[:end] + b"this is no header\r\n" + whole[end:]


@CARD.add("either")
def header_in_raw_bytes(ask: Ask) -> Steps:
    """A header whose value is in no known encoding."""
    yield ask.honest(headers=[("X-Raw", "\xff\xfe\x80")])


@CARD.add("either")
def lines_that_end_with_newline_only(ask: Ask) -> Steps:
    """A head with the line ends of text files."""
    head, _, body = ask.honest().partition(b"\r\n\r\n")
    yield head.replace(b"\r\n", b"\n") + b"\n\n" + body


@CARD.add("accept")
def status_without_reason(ask: Ask) -> Steps:
    """A status line without words, which is legal."""
    yield ask.honest(status="200 ")
