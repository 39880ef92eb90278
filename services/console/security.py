"""What every answer carries so that a browser guards the page: policy, nonce, no framing, no caching, bounded bodies.

Plain ASGI, so that streams pass unbuffered.
"""

from __future__ import annotations

import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 1_048_576
LENGTH_DIGITS_MAX: Final = 20
"""Of the length that a request announces; more digits are too many bytes whatever follows."""
NONCE_BYTES: Final = 16
STATIC: Final = "/static/"
STATIC_CACHE: Final = "public, max-age=86400"


def policy_of(nonce: str) -> str:
    """The content security policy of one page: nothing from elsewhere, no script or style that is not ours."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


class BodyTooLarge(HTTPException):
    """More was sent than any form of ours has; shown as every other refusal is."""

    def __init__(self) -> None:
        super().__init__(413, f"More than {BODY_BYTES_MAX} bytes were sent; no form of the console needs so much.")


class Guarded:
    """The application with the headers around it."""

    def __init__(self, app: ASGIApp, *, is_secure: bool) -> None:
        self._app = app
        self._is_secure = is_secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        scope.setdefault("state", {})["nonce"] = nonce
        is_static = scope["path"].startswith(STATIC)

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(MutableHeaders(scope=message), nonce=nonce, is_static=is_static)
            await send(message)

        announced = Headers(scope=scope).get("content-length", "0")
        taken = 0

        async def bounded_receive() -> Message:
            nonlocal taken
            # Refused where it is read, so that the refusal is a page or a JSON error like any other.
            if not announced.isdecimal() or int(announced[:LENGTH_DIGITS_MAX]) > BODY_BYTES_MAX:
                raise BodyTooLarge
            message = await receive()
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                if taken > BODY_BYTES_MAX:
                    raise BodyTooLarge
            return message

        await self._app(scope, bounded_receive, guarded_send)

    def _add_headers(self, headers: MutableHeaders, *, nonce: str, is_static: bool) -> None:
        headers["content-security-policy"] = policy_of(nonce)
        headers["x-content-type-options"] = "nosniff"
        headers["x-frame-options"] = "DENY"
        headers["referrer-policy"] = "same-origin"
        headers["cross-origin-opener-policy"] = "same-origin"
        headers["cross-origin-resource-policy"] = "same-origin"
        headers["permissions-policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        headers["cache-control"] = STATIC_CACHE if is_static else "no-store"
        if self._is_secure:
            headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"
