"""The second factor: codes of an authenticator (RFC 6238), recovery codes, and how their secrets are sealed.

It keeps nothing: secrets, and which code was used last, lie with the accounts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Final

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from markupsafe import Markup

from shared.errors import NeedsPerson

ISSUER: Final = "Aether Integrator"
STEP_SECONDS: Final = 30
STEPS_BESIDE: Final = 1
"""How far the clocks of telephone and console may differ, in steps."""
DIGITS: Final = 6
RECOVERY_CODES: Final = 8
RECOVERY_BYTES: Final = 10
KEY_BYTES: Final = 32
KEY_CHARACTERS_MIN: Final = 32
NONCE_BYTES: Final = 12
PICTURE_SCALE: Final = 5


def new_secret() -> str:
    """A secret for one authenticator: 160 bits, in base 32."""
    return pyotp.random_base32()


def step_of(code: str, secret: str, *, now: datetime, after: int | None) -> int | None:
    """The time step that a code is of; None when it is wrong, too old, or of a step not later than `after`."""
    digits = "".join(code.split())
    if len(digits) != DIGITS or not digits.isascii() or not digits.isdigit():
        return None
    present = int(now.timestamp()) // STEP_SECONDS
    generator = pyotp.TOTP(secret, interval=STEP_SECONDS)
    found = None
    # All are compared, so that the time taken tells nothing.
    for step in range(present - STEPS_BESIDE, present + STEPS_BESIDE + 1):
        if hmac.compare_digest(generator.generate_otp(step), digits) and (after is None or step > after):
            found = step
    return found


def picture_of(secret: str, *, user: str) -> Markup:
    """The QR code of a secret as SVG: black on white whatever the colours of the page, without a style of its own."""
    uri = pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=user, issuer_name=ISSUER)
    code = segno.make(uri, error="m")
    # segno writes the module pattern only; the name is within the pattern and nowhere in the text.
    return Markup(code.svg_inline(scale=PICTURE_SCALE, border=4, dark="#000", light="#fff"))  # noqa: S704 - see above


def recovery_codes() -> tuple[str, ...]:
    """New codes that each stand in for the authenticator once, 80 random bits each."""
    texts = [secrets.token_hex(RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]
    return tuple("-".join(text[at : at + 5] for at in range(0, len(text), 5)) for text in texts)


def hash_of_code(code: str, *, user: str) -> str:
    """How a recovery code of a person is kept, however it is typed: so many random bits need no slow hash."""
    plain = "".join(sign for sign in code.casefold() if sign.isalnum())
    return hashlib.sha256(f"aether.recovery.v1\0{user}\0{plain}".encode()).hexdigest()


class Sealing:
    """Seals texts for one person each, with AES-256-GCM under a key made of the setting `session_key`."""

    def __init__(self, key_text: str) -> None:
        """`NeedsPerson` for a key that is too short to be a key."""
        if len(key_text) < KEY_CHARACTERS_MIN:
            raise NeedsPerson(
                "SYS_SECRET",
                f"the secret of AETHER_SESSION_KEY has {len(key_text)} characters, at least {KEY_CHARACTERS_MIN} are "
                "needed; make one with: openssl rand -hex 32",
            )
        kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"aether.console.sealing.v1")
        self._cipher = AESGCM(kdf.derive(key_text.encode()))

    def seal(self, text: str, *, user: str) -> str:
        """The text, readable only under this key and for this user."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), user.encode())).decode()

    def opened(self, sealed: str, *, user: str) -> str | None:
        """What was sealed; None for anything that was not sealed under this key for this user."""
        try:
            whole = base64.b64decode(sealed.encode(), altchars=b"-_", validate=True)
            return self._cipher.decrypt(whole[:NONCE_BYTES], whole[NONCE_BYTES:], user.encode()).decode()
        except (InvalidTag, ValueError):
            return None
