"""Reads secrets from HashiCorp Vault or OpenBao, out of an engine of key and value, version 2 (KV v2).

What was read is kept for half a minute, so that a secret that was changed is seen without a restart, and a run that
opens the same connection again and again does not ask each time. While the server cannot be reached, and only then,
what was read last serves for five minutes. Whoever is refused with a secret has all that was kept forgotten
(`VaultReader.forget`). Nothing is written, and no answer is ever quoted.

The library is loaded when the first such reference is read; programs without one need it not.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import AetherError, NeedsPerson, TryLater
from shared.secrets.vault_settings import Place, VaultSettings, vault_settings

KEPT_SECONDS: Final = 30.0
"""How long a secret that was read is used without asking again."""
KEPT_WHILE_AWAY_SECONDS: Final = 300.0
"""How long it is used while the server cannot be reached."""
KEPT_MAX: Final = 1_000
CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 4.0
TRIES_MAX: Final = 3
PAUSE_SECONDS: Final = 0.25
"""Before the second try; twice that before the third."""
RENEWED_AT_SHARE: Final = 2 / 3
"""Of its life, after which a token is renewed."""

ResolveOther = Callable[[str], str]
"""Reads a reference that does not lie in Vault."""


@dataclass
class _Token:
    text: str
    renewed_from: float | None = None
    """On the monotonic clock; None: it is not ours to renew."""
    is_renewable: bool = False


class VaultReader:
    """The way to one server, as one program; may be used by several threads."""

    def __init__(
        self,
        settings: VaultSettings,
        *,
        resolve: ResolveOther,
        monotonic_seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`resolve` reads what this program proves itself with; nothing is connected yet."""
        self.settings = settings
        self._resolve = resolve
        self._now = monotonic_seconds
        self._sleep = sleep
        self._lock = threading.Lock()
        self._kept: dict[Place, tuple[str, float]] = {}
        self._token: _Token | None = None
        self._client: Any = None

    def read(self, reference: str, place: Place) -> str:
        """The secret at a place.

        Raises `NeedsPerson` when it is not there or not for us, `TryLater` when the server cannot be reached, both
        with SYS_SECRET and the reference, never a value.
        """
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None and self._now() - kept[1] < KEPT_SECONDS:
                return kept[0]
            try:
                text = _Asking(self, reference, place).text()
            except TryLater:
                if kept is not None and self._now() - kept[1] < KEPT_WHILE_AWAY_SECONDS:
                    return kept[0]
                raise
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[place] = (text, self._now())
            return text

    def forget(self) -> None:
        """What was read is not used again: something was refused with it."""
        with self._lock:
            self._kept.clear()

    # --- proving who asks -------------------------------------------------------------------------------------------

    def client(self) -> Any:
        """The library's client with a token that lives; whoever calls holds the lock."""
        if self._client is None:
            import hvac

            self._client = hvac.Client(
                url=self.settings.addr,
                token="",  # or the library would look for one in files and variables of its own
                verify=str(self.settings.ca) if self.settings.ca is not None else True,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,  # elsewhere our token has no business
                namespace=self.settings.namespace,
            )
        token = self._token
        if token is not None and token.renewed_from is not None and self._now() >= token.renewed_from:
            token = self._renewed(token)
        if token is None:
            token = self._proven()
        self._token = token
        self._client.token = token.text
        return self._client

    def prove_anew(self) -> bool:
        """The token was refused: whether another one can be had."""
        before, self._token = self._token, None
        self._client.token = ""
        if self.settings.token is None:
            return True
        # A token that somebody else renews is another one only if the reference holds another.
        return before is None or self._resolve(self.settings.token) != before.text

    def _proven(self) -> _Token:
        settings, client = self.settings, self._client
        if settings.token is not None:
            return _Token(self._resolve(settings.token))
        if settings.secret_id is not None:
            answer = client.auth.approle.login(
                role_id=settings.role_id,
                secret_id=self._resolve(settings.secret_id),
                use_token=False,
                mount_point=settings.auth_mount or "approle",
            )
        else:
            answer = client.auth.kubernetes.login(
                role=settings.kubernetes_role,
                jwt=self._resolve(f"file:{settings.jwt_file}"),
                use_token=False,
                mount_point=settings.auth_mount or "kubernetes",
            )
        return self._granted(answer)

    def _granted(self, answer: Any) -> _Token:
        match answer:
            case {"auth": {"client_token": str(text), "lease_duration": int(lives), **rest}} if text:
                renewed_from = self._now() + lives * RENEWED_AT_SHARE if lives > 0 else None
                return _Token(text, renewed_from, rest.get("renewable") is True)
        raise _odd()

    def _renewed(self, token: _Token) -> _Token | None:
        """The same token with a longer life; None when it is simpler to prove ourselves anew."""
        if not token.is_renewable:
            return None
        from hvac.exceptions import VaultError

        self._client.token = token.text
        try:
            found = self._granted(self._client.auth.token.renew_self())
        except (VaultError, _Odd):
            return None
        # At the end of its longest life a token is renewed by less and less.
        return found if found.renewed_from is not None and found.renewed_from > self._now() + 1 else None


class _Odd(Exception):
    """An answer of another shape than the interface has."""


def _odd() -> _Odd:
    return _Odd()


@dataclass(frozen=True)
class _Asking:
    """One secret, asked for until it is there or it is clear that it is not."""

    reader: VaultReader
    reference: str
    place: Place

    def text(self) -> str:
        """The secret."""
        has_proven_anew = False
        tries = 0
        while True:  # bounded by TRIES_MAX and the one time that we prove ourselves anew
            tries += 1
            try:
                return self._field_in(self._answer())
            except _Refused:
                if has_proven_anew or not self.reader.prove_anew():
                    raise self._person(
                        f"{self._server} does not let this program read {self.place.mount}/{self.place.path} "
                        "(permission denied); give its policy `read` on "
                        f"{self.place.mount}/data/{self.place.path}, or give it another token"
                    ) from None
                has_proven_anew = True
            except _Away as away:
                if tries >= TRIES_MAX:
                    raise TryLater(
                        "SYS_SECRET", f"{self.reference}: {self._server} {away}", reference=self.reference
                    ) from None
                self.reader._sleep(PAUSE_SECONDS * 2 ** (tries - 1))

    def _answer(self) -> Any:
        import requests
        from hvac import exceptions as refused

        try:
            client = self.reader.client()
            return client.secrets.kv.v2.read_secret_version(
                path=self.place.path,
                mount_point=self.place.mount,
                version=self.place.version,
                raise_on_deleted_version=True,
            )
        except (refused.Forbidden, refused.Unauthorized):
            raise _Refused from None
        except refused.InvalidPath as missing:
            raise self._missing(missing.json, missing.errors) from None
        except refused.InvalidRequest:
            raise self._person(
                f"{self._server} does not know this program (status 400); check AETHER_VAULT_ROLE_ID and what "
                "AETHER_VAULT_SECRET_ID or AETHER_VAULT_KUBERNETES_ROLE name"
            ) from None
        except refused.VaultDown as down:
            is_sealed = any("sealed" in str(error).lower() for error in down.errors or ())
            raise _Away("is sealed; unseal it" if is_sealed else "is not ready (status 503)") from None
        except refused.VaultNotInitialized:
            raise _Away("has never been initialised (status 501); initialise and unseal it") from None
        except refused.VaultError as other:
            raise _Away(f"answered {type(other).__name__}; look at its log") from None
        except requests.exceptions.SSLError:
            raise self._person(
                f"{self._server} shows a certificate that is not believed; name its authority in AETHER_VAULT_CA"
            ) from None
        except requests.exceptions.RequestException as problem:
            raise _Away(f"does not answer ({type(problem).__name__})") from None
        except _Odd:
            raise self._person(f"{self._server} answers as Vault does not; check AETHER_VAULT_ADDR") from None

    def _missing(self, body: Any, errors: Any) -> AetherError:
        place, versioned = self.place, "" if self.place.version is None else f" in version {self.place.version}"
        match body:
            case {"data": {"metadata": {"destroyed": True, "version": int(version)}}}:
                return self._person(f"version {version} was destroyed; put the secret there anew")
            case {"data": {"metadata": {"deletion_time": str(at), "version": int(version)}}} if at:
                return self._person(f"version {version} was deleted; undelete it, or put the secret there anew")
        if any("no handler for route" in str(error) for error in errors or ()):
            return self._person(
                f"{self._server} has no engine at {place.mount}; check the first part of the reference "
                "(a mount with slashes is set apart by //)"
            )
        return self._person(
            f"{self._server} has nothing at {place.path}{versioned} in {place.mount}; "
            "put the secret there, or correct the reference"
        )

    def _field_in(self, answer: Any) -> str:
        match answer:
            case {"data": {"data": Mapping() as fields, "metadata": Mapping()}}:
                pass
            case _:
                raise self._person(
                    f"{self._server} answers as an engine of version 2 does not; check AETHER_VAULT_ADDR, and that "
                    f"{self.place.mount} is of the kind kv, version 2"
                )
        if self.place.field not in fields:
            raise self._person(f"{self.place.mount}/{self.place.path} has no field {self.place.field}")
        value = fields[self.place.field]
        if not isinstance(value, str):
            raise self._person(f"field {self.place.field} is no text; store the secret as text")
        return value

    @property
    def _server(self) -> str:
        return f"Vault at {self.reader.settings.addr}"

    def _person(self, text: str) -> NeedsPerson:
        return NeedsPerson("SYS_SECRET", f"{self.reference}: {text}", reference=self.reference)


class _Refused(Exception):
    """The token was not let in."""


class _Away(Exception):
    """Nobody can be asked now; the text says in which way."""


_readers: dict[VaultSettings, VaultReader] = {}
_readers_lock: Final = threading.Lock()


def from_vault(reference: str, place: Place, *, resolve: ResolveOther) -> str:
    """The secret behind a reference, from the server that the environment names."""
    settings = vault_settings(os.environ, reference=reference)
    with _readers_lock:
        if settings not in _readers:
            _readers.clear()  # the environment of a program names one server
            _readers[settings] = VaultReader(settings, resolve=resolve)
        reader = _readers[settings]
    return reader.read(reference, place)


def forget_vault() -> None:
    """What was read is not used again."""
    with _readers_lock:
        readers = tuple(_readers.values())
    for reader in readers:
        reader.forget()
