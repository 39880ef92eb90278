"""Connects a plain NATS client as one user, and keeps what the server said about refused acts.

A refusal comes later than the act and by another way: the call ends in a time-out, the reason reaches only the
error callback. So every refusal is logged loudly, counted and remembered, and a time-out can be explained.
It never gives up reconnecting; a service whose connection is closed for good ends its process, because nothing
that runs on a closed connection does anything but spin.
"""

import asyncio
import logging
import os
import re
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.bus.client import BusClient
from shared.bus.topology import inbox_prefix
from shared.errors import AetherError

REFUSALS_KEPT_MAX: Final = 100
REFUSAL_EXPLAINS_SECONDS: Final = 60.0
"""How old a remembered refusal may be to explain a time-out of the same subject."""
CONNECT_TIMEOUT_SECONDS: Final = 5
RECONNECT_WAIT_SECONDS: Final = 1
PING_SECONDS: Final = 5
"""Two unanswered pings mean a dead connection, which a server that is cut off does not tell: found within twenty
seconds instead of the library's six minutes, and then another server of the cluster is asked."""
EXIT_CODE_CLOSED: Final = 70

log = structlog.get_logger(__name__)

_AUTHORIZATION_VIOLATION: Final = "authorization violation"
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BusSettings:
    """Where the bus is and as whom to enter it."""

    url: str
    """One address or several, separated by commas, without user and password; `tls://…` is encrypted."""
    user: str
    password: str | Callable[[], str] = field(repr=False)
    """What reads it is asked at each attempt, so that a connection that is lost comes back with a changed password."""
    authorities: Path | None = None
    """Certificates that the bus is believed by, PEM; None: those that this machine knows."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One act that the server refused."""

    user: str
    act: str
    """`publish` or `subscription`."""
    subject: str
    at_monotonic: float


class PermissionRefused(Exception):
    """The server refused an act; it names user, act and subject."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(
            f"the bus user {refusal.user!r} has no permission for {refusal.act} to {refusal.subject!r}; "
            "if it should, the table of the bus is the place, then render the server's configuration again"
        )


class NotAdmitted(Exception):
    """The bus refused the user or the password."""


class BusUnreachable(Exception):
    """No bus answered in the time given."""


class BusMisaddressed(ValueError):
    """The addresses of the bus and what they are believed by contradict each other, or cannot be read."""


class BusNotTrusted(BusUnreachable):
    """What answered at every address shows no certificate that we believe, or one that is of another or expired."""


def tls_options(url: str, authorities: Path | None) -> dict[str, Any]:
    """Return the client options for the encryption that the addresses ask for; BusMisaddressed says what is wrong.

    The certificate and its name are always checked, and the encryption begins before the first word: no server can
    talk a client out of it.
    """
    addresses = addresses_of(url)
    encrypted = [address for address in addresses if address.startswith("tls://")]
    if not encrypted:
        if authorities is not None:
            raise BusMisaddressed(
                f"authorities are named ({authorities}), and {url} asks for no encryption; write tls://"
            )
        return {}
    if len(encrypted) != len(addresses):
        raise BusMisaddressed(f"{url}: some addresses are encrypted and some are not; write tls:// before all of them")
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise BusMisaddressed(f"{authorities}: holds no certificates that can be read ({error})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    logging.getLogger("asyncio").addFilter(_not_about_half_closing)
    return {"tls": context, "tls_handshake_first": True}


def _not_about_half_closing(record: logging.LogRecord) -> bool:
    """Keep out what asyncio says each time a server ends an encrypted connection that the library opened plainly."""
    return not record.msg.startswith("returning true from eof_received()")


def addresses_of(url: str) -> list[str]:
    """Return the single addresses of a setting that may name several."""
    return [each.strip() for each in url.split(",")]


class Refusals:
    """The last refusals of one connection, and how many there ever were."""

    def __init__(
        self,
        user: str,
        *,
        now: Callable[[], float] = time.monotonic,
        on_refusal: Callable[[Refusal], None] = lambda _: None,
    ) -> None:
        self.user = user
        self.total = 0
        self._now = now
        self._on_refusal = on_refusal
        self._recent: deque[Refusal] = deque(maxlen=REFUSALS_KEPT_MAX)

    @property
    def recent(self) -> tuple[Refusal, ...]:
        """The refusals remembered, oldest first."""
        return tuple(self._recent)

    def hear(self, message: str) -> Refusal | None:
        """Remember a permissions violation; anything else returns None."""
        found = _VIOLATION.search(message)
        if found is None:
            return None
        refusal = Refusal(self.user, found.group(1).lower(), found.group(2), self._now())
        self.total += 1
        self._recent.append(refusal)
        self._on_refusal(refusal)
        return refusal

    def explaining(self, subject: str, act: str = "publish") -> Refusal | None:
        """Return the latest fresh refusal of exactly this act, if there is one."""
        oldest = self._now() - REFUSAL_EXPLAINS_SECONDS
        for refusal in reversed(self._recent):
            # The client library hands errors on in small letters only.
            is_same = refusal.subject.lower() == subject.lower() and refusal.act == act
            if is_same and refusal.at_monotonic >= oldest:
                return replace(refusal, subject=subject)
        return None


@dataclass(slots=True)
class Watch:
    """What we keep beside a connection."""

    refusals: Refusals
    has_connected: bool = False
    is_leaving: bool = False
    """We close it ourselves: no reason for alarm."""


_WATCHES: WeakKeyDictionary[Client, Watch] = WeakKeyDictionary()


def refusals_of(client: Client) -> Refusals | None:
    """Return the refusals of a connection made by this module or by the broker."""
    watch = _WATCHES.get(client)
    return watch.refusals if watch is not None else None


def raise_if_refused(client: Client, subject: str) -> None:
    """Raise PermissionRefused when a call on this subject timed out because the server refused it."""
    refusals = refusals_of(client)
    refusal = refusals.explaining(subject) if refusals is not None else None
    if refusal is not None:
        raise PermissionRefused(refusal)


def client_of(js: JetStreamContext) -> Client:
    """Return the connection below a JetStream context; the library keeps it in a private place."""
    client: Client = js._nc
    return client


def connection_options(settings: BusSettings, watch: Watch, *, exits_when_closed: bool) -> dict[str, Any]:
    """Return the client options that plain connections and the broker share."""

    addresses = addresses_of(settings.url)
    not_trusted: list[str] = []

    async def on_error(error: Exception) -> None:
        if isinstance(error, ssl.SSLCertVerificationError) and not watch.has_connected:
            not_trusted.append(error.verify_message)
            if len(not_trusted) >= len(addresses):
                # The client would try the same certificate for ever; a new start of the program reads it again.
                raise BusNotTrusted(
                    f"the bus at {settings.url} shows no certificate that {settings.user!r} can believe "
                    f"({not_trusted[-1]}); check the authorities, the name in the address, and whether it has expired"
                ) from error
        if _AUTHORIZATION_VIOLATION in str(error).lower() and not watch.has_connected:
            # The client would try the same password for ever; raised from here it ends the attempt to connect.
            raise NotAdmitted(
                f"the bus at {settings.url} does not know the user {settings.user!r} with this password; "
                "check the secret, or render the server's configuration again"
            ) from error
        refusal = watch.refusals.hear(str(error))
        if refusal is not None:
            log.error("bus_permission_refused", user=refusal.user, act=refusal.act, subject=refusal.subject)
        else:
            log.warning("bus_connection_error", user=settings.user, error=type(error).__name__, said=str(error))

    async def on_closed() -> None:
        if watch.is_leaving:
            log.info("bus_left", user=settings.user)
            return
        log.critical("bus_connection_closed", user=settings.user, exits=exits_when_closed)
        if exits_when_closed:
            # Not sys.exit: pull loops swallow it and keep the event loop from ever running again.
            os._exit(EXIT_CODE_CLOSED)

    async def on_disconnected() -> None:
        if not watch.is_leaving:
            log.warning("bus_disconnected", user=settings.user)

    async def on_reconnected() -> None:
        log.info("bus_reconnected", user=settings.user)

    return {
        "servers": addresses,
        **tls_options(settings.url, settings.authorities),
        "user": settings.user,
        "password": password_of(settings),
        "name": settings.user,
        "inbox_prefix": inbox_prefix(settings.user),
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": RECONNECT_WAIT_SECONDS,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "ping_interval": PING_SECONDS,
        "error_cb": on_error,
        "closed_cb": on_closed,
        "disconnected_cb": on_disconnected,
        "reconnected_cb": on_reconnected,
    }


def password_of(settings: BusSettings) -> str | Callable[[], str]:
    """Return the password, or what reads it for each attempt: one that cannot be read now is the last one."""
    if isinstance(settings.password, str):
        return settings.password
    read, last = settings.password, settings.password()

    def for_this_attempt() -> str:
        nonlocal last
        try:
            last = read()
        except AetherError as error:
            log.warning("bus_password_not_read", user=settings.user, code=error.code)
        return last

    return for_this_attempt


async def connect(
    settings: BusSettings, *, exits_when_closed: bool = False, wait_seconds: float | None = None
) -> Client:
    """Connect as the settings' user; without `wait_seconds` it waits for the bus as long as it takes.

    Only programs whose whole life is the bus let a closed connection end them. Close it with `leave`, or such a
    program takes its own farewell for a failure.
    """
    watch = Watch(Refusals(settings.user))
    try:
        async with asyncio.timeout(wait_seconds):
            return await connect_watched(settings, watch, exits_when_closed=exits_when_closed)
    except TimeoutError:
        raise BusUnreachable(f"no bus answered at {settings.url} within {wait_seconds} s; is it running?") from None


async def connect_watched(settings: BusSettings, watch: Watch, *, exits_when_closed: bool) -> Client:
    """Connect with a watch of the caller's making; for the broker."""
    options = connection_options(settings, watch, exits_when_closed=exits_when_closed)
    client = BusClient()
    try:
        await client.connect(**options)
    except BaseException:
        # An attempt given up leaves a socket behind; closing it is on purpose.
        watch.is_leaving = True
        await close_for_good(client)
        raise
    watch.has_connected = True
    _WATCHES[client] = watch
    return client


async def leave(client: Client) -> None:
    """Send what is still pending and close the connection on purpose."""
    watch = _WATCHES.get(client)
    if watch is not None:
        watch.is_leaving = True
    if client.is_connected:
        await client.drain()
    elif not client.is_closed:
        await close_for_good(client)


async def close_for_good(client: Client) -> None:
    """Close a connection that may be broken already: the library still tries to write its last words."""
    with suppress(OSError):
        await client.close()
