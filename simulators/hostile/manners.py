"""Nasty manners: redirects, absurd waits, cookies, interim answers, slowness, statuses that mean something else."""

from __future__ import annotations

from simulators.hostile.script import Ask, Card, End, Pause, Steps, message

CARD = Card(is_everywhere=True)
DRIP_SECONDS = 0.05
DRIPS_MAX = 20_000
SILENCE_SECONDS = 600.0
"""A client that has no deadline of its own waits this long."""


def _redirect(target: str | None, status: str = "302 Found") -> Steps:
    headers = [("Location", target)] if target is not None else []
    yield message(b"{}", status=status, headers=headers)


@CARD.add("refuse")
def redirect_to_another_host(ask: Ask) -> Steps:
    """To a stranger under another name, who answers honestly and sees every credential that is sent along."""
    return _redirect(ask.stranger.replace("127.0.0.1", "localhost") + "/items")


@CARD.add("refuse")
def redirect_to_plain_http(ask: Ask) -> Steps:
    """To http on the same host; served over TLS this is the way out of it."""
    return _redirect(f"{ask.stranger}/items", "307 Temporary Redirect")


@CARD.add("refuse")
def redirect_without_scheme(ask: Ask) -> Steps:
    """To a stranger, by an address that begins with two slashes."""
    return _redirect(f"{ask.stranger.partition(':')[2]}/items", "301 Moved Permanently")


@CARD.add("refuse")
def redirect_to_sign_in(ask: Ask) -> Steps:
    """To a page on the same server, as proxies do when a session has ended."""
    return _redirect("/sign-in?from=items")


@CARD.add("refuse")
def redirect_in_a_circle(ask: Ask) -> Steps:
    """To itself."""
    return _redirect(ask.base, "308 Permanent Redirect")


@CARD.add("refuse")
def redirect_to_a_file(ask: Ask) -> Steps:
    """To a file of the reader's own machine."""
    return _redirect("file:///etc/hostname")


@CARD.add("refuse")
def redirect_to_nowhere(ask: Ask) -> Steps:
    """A redirect that does not say where to."""
    return _redirect(None)


@CARD.add("refuse")
def redirect_to_garbage(ask: Ask) -> Steps:
    """To an address that cannot be read."""
    return _redirect("http://[::1:bad/\\")


@CARD.add("refuse")
def many_choices(ask: Ask) -> Steps:
    """300 with the honest body: not the success that was agreed."""
    yield ask.honest(status="300 Multiple Choices")


@CARD.add("refuse")
def not_modified(ask: Ask) -> Steps:
    """304, although nothing was asked conditionally."""
    yield b"HTTP/1.1 304 Not Modified\r\n\r\n"


def _wait(retry_after: str) -> Steps:
    yield message(b'{"message":"too many"}', status="429 Too Many Requests", headers=[("Retry-After", retry_after)])


@CARD.add("refuse")
def retry_after_31_years(ask: Ask) -> Steps:
    """429, come back in a billion seconds."""
    return _wait("1000000000")


@CARD.add("refuse")
def retry_after_beyond_64_bits(ask: Ask) -> Steps:
    """429, with a wait that overflows."""
    return _wait("9" * 400)


@CARD.add("refuse")
def retry_after_negative(ask: Ask) -> Steps:
    """429, come back before you went: no reason to ask again at once and for ever."""
    return _wait("-5")


@CARD.add("refuse")
def retry_after_zero(ask: Ask) -> Steps:
    """429, come back now, and now, and now."""
    return _wait("0")


@CARD.add("refuse")
def retry_after_past_date(ask: Ask) -> Steps:
    """429, come back in 1994."""
    return _wait("Sun, 06 Nov 1994 08:49:37 GMT")


@CARD.add("refuse")
def retry_after_far_date(ask: Ask) -> Steps:
    """429, come back in the last year that has four digits."""
    return _wait("Fri, 31 Dec 9999 23:59:59 GMT")


@CARD.add("refuse")
def retry_after_garbage(ask: Ask) -> Steps:
    """429, come back soon."""
    return _wait("soon")


@CARD.add("refuse")
def retry_after_not_a_number(ask: Ask) -> Steps:
    """429, come back in `nan`, which is neither more nor less than any limit."""
    return _wait("nan")


@CARD.add("accept")
def cookies_set(ask: Ask) -> Steps:
    """Cookies that nobody asked for; the journal shows whether they come back."""
    cookies = ["session=hostile; Path=/", "session=hostile2; Domain=.example.org", "=;;", "a=" + "b" * 4_000]
    yield ask.honest(headers=[("Set-Cookie", cookie) for cookie in cookies])


@CARD.add("accept")
def interim_answers(ask: Ask) -> Steps:
    """100, 102 and 103 before the answer itself."""
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    yield (
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Type: text/html\r\n\r\n" + ask.honest()
    )


@CARD.add("refuse")
def interim_answers_without_end(ask: Ask) -> Steps:
    """103, and 103, and never an answer."""
    for _ in range(DRIPS_MAX):
        yield b"HTTP/1.1 103 Early Hints\r\nX-Hint: wait\r\n\r\n"
        yield Pause(DRIP_SECONDS)
    yield End.CLOSE


@CARD.add("refuse")
def protocol_switched(ask: Ask) -> Steps:
    """101: from here on it is something else."""
    yield b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: klaxon/1\r\n\r\n" + ask.body()
    yield End.CLOSE


@CARD.add("refuse")
def no_content(ask: Ask) -> Steps:
    """204 to a read: no list is not an empty list."""
    yield b"HTTP/1.1 204 No Content\r\n\r\n"


@CARD.add("refuse")
def no_content_with_a_body(ask: Ask) -> Steps:
    """204, with a body that the next request on this connection would take for its answer."""
    yield ask.honest(status="204 No Content")


@CARD.add("refuse")
def partial_content(ask: Ask) -> Steps:
    """206: a part, which nobody asked for."""
    size = len(ask.body())
    yield ask.honest(status="206 Partial Content", headers=[("Content-Range", f"bytes 0-{size - 1}/{size * 3}")])


@CARD.add("refuse")
def status_beyond_999(ask: Ask) -> Steps:
    """A status of four digits."""
    yield ask.honest(status="2000 Very OK")
    yield End.CLOSE


@CARD.add("refuse")
def status_unknown(ask: Ask) -> Steps:
    """A status no class knows."""
    yield ask.honest(status="799 Whatever")


@CARD.add("refuse")
def error_with_honest_body(ask: Ask) -> Steps:
    """500, and the right list beside it."""
    yield ask.honest(status="500 Internal Server Error")


@CARD.add("refuse")
def slow_drip_body(ask: Ask) -> Steps:
    """A byte of the body every twentieth of a second: no single read takes long, the whole takes for ever."""
    yield ask.honest(body=ask.body() + b" " * DRIPS_MAX)[: -len(ask.body()) - DRIPS_MAX]
    for byte in ask.body() + b" " * DRIPS_MAX:
        yield bytes([byte])
        yield Pause(DRIP_SECONDS)


@CARD.add("refuse")
def slow_drip_head(ask: Ask) -> Steps:
    """The same with the head."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * DRIPS_MAX:
        yield bytes([byte])
        yield Pause(DRIP_SECONDS)
    yield End.CLOSE


@CARD.add("refuse")
def silence(ask: Ask) -> Steps:
    """The request is taken and never answered."""
    yield Pause(SILENCE_SECONDS)
    yield End.CLOSE


@CARD.add("refuse")
def silence_after_head(ask: Ask) -> Steps:
    """The head comes, the body does not."""
    yield ask.honest()[: -len(ask.body())]
    yield Pause(SILENCE_SECONDS)
    yield End.CLOSE


@CARD.add("refuse")
def challenge_for_credentials(ask: Ask) -> Steps:
    """401 that asks for Basic, of another realm: a credential must not be tried on it in another form."""
    headers = [("WWW-Authenticate", 'Basic realm="Stranger"')]
    yield message(b"{}", status="401 Unauthorized", headers=headers)
