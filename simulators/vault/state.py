"""What the Vault in miniature holds, and how it answers; it knows nothing of HTTP but the status codes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, dict[str, Any]]
DENIED: Answer = (403, {"errors": ["permission denied"]})
NOTHING: Answer = (404, {"errors": []})


@dataclass
class Version:
    """One version of a secret."""

    fields: Mapping[str, Any]
    deletion_time: str = ""
    destroyed: bool = False


@dataclass
class Token:
    """A token, what it may read and how long it lives."""

    text: str
    may_read: tuple[str, ...]
    """Beginnings of paths, as a policy has them: `kv/data/aeries`."""
    ends_at: float | None = None
    renewable: bool = False
    lives: int = 0
    longest_until: float = float("inf")


@dataclass
class Vault:
    """One server."""

    now: Callable[[], float]
    sealed: bool = False
    initialised: bool = True
    down: int = 0
    """So many requests are answered with 500 next."""
    mounts: set[str] = field(default_factory=lambda: {"kv"})
    secrets: dict[tuple[str, str, str], list[Version]] = field(default_factory=dict)
    """By namespace, mount and path."""
    tokens: dict[str, Token] = field(default_factory=dict)
    roles: dict[tuple[str, str], Token] = field(default_factory=dict)
    """What a login gives: by (role id, secret id), and by (role, service account's token)."""
    journal: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)

    # --- by tests ---------------------------------------------------------------------------------------------------

    def put(self, path: str, *, mount: str = "kv", namespace: str = "", **fields: Any) -> None:
        """Add a version of a secret."""
        with self.lock:
            self.secrets.setdefault((namespace, mount, path), []).append(Version(fields))

    def versions(self, path: str, *, mount: str = "kv") -> list[Version]:
        """The versions of a secret, the oldest first."""
        return self.secrets["", mount, path]

    def give(self, text: str, *may_read: str) -> None:
        """Let a token in that never ends."""
        self.tokens[text] = Token(text, may_read)

    # --- over HTTP --------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: Any) -> Answer:
        """The answer to one request."""
        with self.lock:
            self.journal.append((method, path))
            if (trouble := self._trouble()) is not None:
                return trouble
            if method == "POST" and path.startswith("auth/") and path.endswith("/login"):
                return self._login(path, body)
            token = self._token(headers.get("X-Vault-Token", ""))
            if token is None:
                return DENIED
            if (method, path) == ("POST", "auth/token/renew-self"):
                return self._renew(token)
            return (
                self._read(path, query, headers.get("X-Vault-Namespace", ""), token) if method == "GET" else (405, {})
            )

    def _trouble(self) -> Answer | None:
        if not self.initialised:
            return 501, {"errors": ["Vault is not initialized"]}
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if self.down:
            self.down -= 1
            return 500, {"errors": ["internal error"]}
        return None

    def _token(self, text: str) -> Token | None:
        token = self.tokens.get(text)
        if token is None or (token.ends_at is not None and self.now() >= token.ends_at):
            return None
        return token

    def _login(self, path: str, body: Any) -> Answer:
        mount = path.removeprefix("auth/").removesuffix("/login")
        if mount == "approle":
            made = self.roles.get((body.get("role_id", ""), body.get("secret_id", "")))
            if made is None:
                return 400, {"errors": ["invalid role or secret ID"]}
        elif mount == "kubernetes":
            made = self.roles.get((body.get("role", ""), body.get("jwt", "")))
            if made is None:
                return DENIED
        else:
            return DENIED
        text = f"{made.text}.{next(self._numbers)}"
        token = Token(
            text, made.may_read, self.now() + made.lives, made.renewable, made.lives, self.now() + made.longest_until
        )
        self.tokens[text] = token
        return 200, _auth(token, token.lives)

    def _renew(self, token: Token) -> Answer:
        if not token.renewable or token.ends_at is None:
            return 400, {"errors": ["lease is not renewable"]}
        token.ends_at = min(self.now() + token.lives, token.longest_until)
        return 200, _auth(token, int(token.ends_at - self.now()))

    def _read(self, path: str, query: Mapping[str, str], namespace: str, token: Token) -> Answer:
        if not path.startswith(token.may_read):
            return DENIED
        mount = next((one for one in sorted(self.mounts) if path.startswith(f"{one}/")), None)
        if mount is None:
            return 404, {"errors": [f'no handler for route "{path}". route entry not found.']}
        rest = path.removeprefix(f"{mount}/")
        versions = self.secrets.get((namespace, mount, rest.removeprefix("data/")), [])
        number = int(query.get("version", "0")) or len(versions)
        if not rest.startswith("data/") or not 1 <= number <= len(versions):
            return NOTHING
        version = versions[number - 1]
        is_gone = bool(version.deletion_time) or version.destroyed
        metadata = {
            "created_time": "2026-11-22T09:00:00Z",
            "custom_metadata": None,
            "deletion_time": version.deletion_time,
            "destroyed": version.destroyed,
            "version": number,
        }
        data = {"data": None if is_gone else dict(version.fields), "metadata": metadata}
        return (404 if is_gone else 200), {"request_id": "sim", "lease_duration": 0, "renewable": False, "data": data}


def _auth(token: Token, lives: int) -> dict[str, Any]:
    return {
        "request_id": "sim",
        "auth": {
            "client_token": token.text,
            "accessor": "sim",
            "policies": ["default"],
            "lease_duration": lives,
            "renewable": token.renewable,
        },
    }
