"""An OpenID provider on a socket that lies as a test tells it to; left alone, its answers are good ones."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "aether"
Answer = tuple[int, dict[str, str], bytes]


class Liar:
    """A provider on a socket whose every answer the test may bend; the honest answers are good ones."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig", "alg": "RS256"})
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.bend_token: Callable[[str, dict[str, Any]], str] | None = None
        self.bend: dict[str, Callable[[], Answer]] = {}
        self.issuer = ""
        self.nonce = ""
        self.asked: list[str] = []
        self.forms: list[dict[str, list[str]]] = []
        self.authorizations: list[str | None] = []

    def answer(self, path: str) -> Answer:
        """What is answered at a path."""
        self.asked.append(path)
        if path in self.bend:
            return self.bend[path]()
        if path == "/.well-known/openid-configuration":
            return body_of(
                issuer=self.issuer,
                authorization_endpoint=f"{self.issuer}/go",
                token_endpoint=f"{self.issuer}/token",
                jwks_uri=f"{self.issuer}/keys",
            )
        if path == "/keys":
            return body_of(keys=[self.key.as_dict(private=False)])
        if path == "/token":
            return body_of(id_token=self.token(), access_token="x", token_type="Bearer")
        return 404, {}, b""

    def token(self) -> str:
        """An identity of anna, with what the test changed."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "sub": "1", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": self.nonce,
            "preferred_username": "anna", **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        good = jwt.encode({"alg": "RS256", "kid": "one", **self.header}, claims, self.key)
        return good if self.bend_token is None else self.bend_token(good, claims)


def body_of(**document: Any) -> Answer:
    """An answer that holds a JSON document."""
    return 200, {"content-type": "application/json"}, json.dumps(document).encode()


@contextmanager
def serving() -> Iterator[Liar]:
    """The provider, for as long as the context is open."""
    liar = Liar()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length", "0")))
            liar.forms.append(parse_qs(sent.decode()))
            liar.authorizations.append(self.headers.get("authorization"))
            self._answer()

        def _answer(self) -> None:
            status, headers, body = liar.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the console hung up, as it should

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    liar.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield liar
    server.shutdown()
    server.server_close()
    thread.join()
