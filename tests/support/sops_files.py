"""Makes files as SOPS does, from the description of its format: for tests of what reads them.

It shares no line with the reader: it encrypts, keeps its own order and makes its own digest. Recipients are age's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyrage
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MODIFIED = "2026-11-22T09:30:00Z"
IV_BYTES = 32


@dataclass
class SopsFile:
    """One tree, encrypted; `write` gives its text."""

    tree: dict[str, Any]
    recipients: Sequence[Any]
    is_encrypted: Callable[[str], bool] = lambda name: not name.endswith("_unencrypted")
    rule: dict[str, Any] = field(default_factory=lambda: {"unencrypted_suffix": "_unencrypted"})
    is_mac_of_encrypted: bool = False
    key: bytes = field(default_factory=lambda: os.urandom(32))

    def __post_init__(self) -> None:
        self._digest = hashlib.sha512()
        if self.is_mac_of_encrypted:
            self._digest.update(hashlib.sha256(b"sops").digest())
        self.values = self._walked(self.tree, ())
        self.metadata: dict[str, Any] = {
            "age": [
                {
                    "recipient": str(each),
                    "enc": pyrage.encrypt(self.key, [each], armored=True).decode(),
                }
                for each in self.recipients
            ],
            "lastmodified": MODIFIED,
            "mac": self.sealed(self._digest.hexdigest().upper(), aad=MODIFIED),
            **self.rule,
            "version": "3.13.1",
        }
        if self.is_mac_of_encrypted:
            self.metadata["mac_only_encrypted"] = True

    def json(self) -> bytes:
        """As a JSON file, and as what SOPS makes of any other file."""
        return json.dumps({**self.values, "sops": self.metadata}, indent=1).encode()

    def yaml(self) -> bytes:
        """As a YAML file: JSON in blocks is YAML; strings stand in quotation marks."""
        return _block({**self.values, "sops": self.metadata}).encode()

    def dotenv(self) -> bytes:
        """As a dotenv file."""
        lines = ["# a comment", *(f"{name}={value}" for name, value in self.values.items())]
        for name, value in self.metadata.items():
            if name == "age":
                for place, one in enumerate(value):
                    for part, text in one.items():
                        plain = text.replace("\n", "\\n")
                        lines.append(f"sops_age__list_{place}__map_{part}={plain}")
            else:
                lines.append(f"sops_{name}={str(value).lower() if isinstance(value, bool) else value}")
        return ("\n".join(lines) + "\n").encode()

    def sealed(self, value: Any, *, aad: str) -> str:
        """One value as it stands in the file."""
        if value == "":
            return ""
        kind = {str: "str", bool: "bool", int: "int", float: "float", bytes: "bytes"}[type(value)]
        iv = os.urandom(IV_BYTES)
        sealed = AESGCM(self.key).encrypt(iv, _plain(value), aad.encode())
        parts = [base64.b64encode(part).decode() for part in (sealed[:-16], iv, sealed[-16:])]
        return f"ENC[AES256_GCM,data:{parts[0]},iv:{parts[1]},tag:{parts[2]},type:{kind}]"

    def _walked(self, node: Any, path: tuple[str, ...]) -> Any:
        if isinstance(node, dict):
            return {name: self._walked(value, (*path, name)) for name, value in node.items()}
        if isinstance(node, list):
            return [self._walked(value, path) for value in node]
        if node is None:
            return None
        should = (
            all(map(self.is_encrypted, path))
            if "unencrypted" in "".join(self.rule)
            else any(map(self.is_encrypted, path))
        )
        if should or not self.is_mac_of_encrypted:
            self._digest.update(_plain(node))
        return self.sealed(node, aad=":".join(path) + ":") if should else node


def _plain(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"True" if value else b"False"
    return str(value).encode()


def _block(node: Any, indent: int = 0) -> str:
    pad = " " * indent
    if isinstance(node, dict) and node:
        return "".join(
            f"{pad}{json.dumps(name)}:" + ("\n" + _block(value, indent + 2) if _is_nested(value) else _line(value))
            for name, value in node.items()
        )
    return "".join(
        f"{pad}-" + ("\n" + _block(value, indent + 2) if _is_nested(value) else _line(value)) for value in node
    )


def _line(value: Any) -> str:
    return f" {json.dumps(value)}\n"


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)
