"""Takes one value out of a file that SOPS has encrypted for age recipients.

The file is decrypted in this process and never onto a disk. Each value is bound to its place (AES-256-GCM with the
path as additional data), and all of them together to the file's own digest, which is checked before anything is handed
out: a value that was taken away, added or moved is noticed. Read are YAML, JSON, dotenv and whole files (binary), as
the project getsops/sops describes and writes them (stores/ and aes/, version 3.13). Other keys than age, key groups
and rules that hang on comments are refused. Nothing is cached and nothing is written; an error never quotes a value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import NeedsPerson
from shared.secrets.age import Unreadable, data_key_of
from shared.secrets.sops_files import BINARY_KEY, METADATA, tree_in

FILE_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 32
LEAVES_MAX: Final = 10_000
REGEX_CHARS_MAX: Final = 500

_ENCRYPTED: Final = re.compile(
    r"ENC\[AES256_GCM,data:(?P<data>[^,]*),iv:(?P<iv>[^,]+),tag:(?P<tag>[^,]+),type:(?P<type>[a-z]+)\]"
)
_TYPES: Final = frozenset({"str", "int", "float", "bool", "bytes", "time"})
_RULES: Final = ("unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex")
_COMMENT_RULES: Final = ("unencrypted_comment_regex", "encrypted_comment_regex")
_OTHER_KEYS: Final = {
    "pgp": "PGP", "kms": "AWS KMS", "gcp_kms": "Google KMS", "azure_kv": "Azure Key Vault", "hc_vault": "Vault Transit",
    "hckms": "Huawei KMS",
}  # fmt: skip
_SUFFIX_OTHERWISE: Final = "_unencrypted"
_MAC_OF_ENCRYPTED: Final = hashlib.sha256(b"sops").digest()
"""The digest over encrypted values alone begins with this, so that it never equals one over all values."""

Leaf = str | bytes | int | float | bool | datetime | date


@dataclass(frozen=True)
class _Metadata:
    keys: Sequence[tuple[str, str]]
    """Of each age recipient: the recipient, and the data key encrypted for it."""
    last_modified: str
    mac: str
    is_encrypted: Callable[[Sequence[str]], bool]
    """Whether the value at a path is encrypted, by the file's own rule."""
    is_mac_of_encrypted: bool


@dataclass
class _Walk:
    """One walk over all values, in the order of the file."""

    cipher: AESGCM
    metadata: _Metadata
    digest: Any = field(default_factory=hashlib.sha512)
    leaves: int = 0

    def open(self, node: object, path: tuple[str, ...], depth: int) -> object:
        """The node with every value in the clear."""
        if depth > DEPTH_MAX:
            raise Unreadable(f"is nested deeper than {DEPTH_MAX} levels")
        match node:
            case None:
                return None
            case Mapping():
                found = {}
                for key, value in node.items():
                    if not isinstance(key, str):
                        raise Unreadable("has a name that is no text; SOPS allows none")
                    found[key] = self.open(value, (*path, key), depth + 1)
                return found
            case list():
                # Places in a list are no part of the path.
                return [self.open(value, path, depth + 1) for value in node]
            case str() | bool() | int() | float() | datetime() | date():
                return self._leaf(node, path)
            case _:
                raise Unreadable(f"holds a value of the kind {type(node).__name__}, which SOPS does not write")

    def _leaf(self, value: Leaf, path: tuple[str, ...]) -> Leaf:
        self.leaves += 1
        if self.leaves > LEAVES_MAX:
            raise Unreadable(f"holds more than {LEAVES_MAX} values")
        is_encrypted = self.metadata.is_encrypted(path)
        if is_encrypted:
            if not isinstance(value, str):
                raise Unreadable(f"{'.'.join(path)} should be encrypted and is not")
            value = decrypted(self.cipher, value, aad=":".join(path) + ":", place=".".join(path))
        if is_encrypted or not self.metadata.is_mac_of_encrypted:
            self.digest.update(_bytes(value))
        return value


def read_sops(path: Path, keys: str | None) -> str:
    """The text of the value at a dotted path of names and places in lists; of a whole file without `keys`.

    Raises `Unreadable`; `OSError` when the file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise Unreadable(f"is larger than {FILE_BYTES_MAX} bytes, so it holds no secrets; correct the path")
    tree, is_binary = tree_in(path, content)
    if keys is None and not is_binary:
        raise Unreadable("holds values by name; write #path.to.key behind the file")
    metadata = _metadata_in(tree.pop(METADATA, None))
    key = data_key_of(metadata.keys)
    walk = _Walk(AESGCM(key), metadata)
    if metadata.is_mac_of_encrypted:
        walk.digest.update(_MAC_OF_ENCRYPTED)
    clear = walk.open(tree, (), 0)
    _require_whole(walk, metadata)
    return _text_at(clear, BINARY_KEY if keys is None else keys)


def decrypted(cipher: AESGCM, text: str, *, aad: str, place: str) -> Leaf:
    """One encrypted value in the clear; an empty one is never encrypted."""
    if not text:
        return ""
    match = _ENCRYPTED.fullmatch(text)
    if match is None or match["type"] not in _TYPES:
        raise Unreadable(f"{place} should be encrypted and is not")
    try:
        parts = [base64.b64decode(match[name], validate=True) for name in ("data", "iv", "tag")]
        clear = cipher.decrypt(parts[1], parts[0] + parts[2], aad.encode())
        match match["type"]:
            case "int":
                return int(clear)
            case "float":
                return float(clear)
            case "bool":
                return {b"True": True, b"False": False, b"true": True, b"false": False}[clear]
            case "bytes":
                return clear
            case _:
                return clear.decode()
    except (InvalidTag, binascii.Error, KeyError, ValueError):
        raise Unreadable(
            f"{place} does not fit the key and its place: somebody has changed the file by hand; encrypt it anew"
        ) from None


def _require_whole(walk: _Walk, metadata: _Metadata) -> None:
    told = decrypted(walk.cipher, metadata.mac, aad=metadata.last_modified, place="sops.mac")
    if not isinstance(told, str) or not hmac.compare_digest(told.upper(), walk.digest.hexdigest().upper()):
        raise Unreadable("is not whole: its values are not those that were encrypted (MAC); encrypt it anew")


def _text_at(tree: object, keys: str) -> str:
    for name in keys.split("."):
        if isinstance(tree, Mapping) and name in tree:
            tree = tree[name]
        elif isinstance(tree, list) and name.isascii() and name.isdigit() and int(name) < len(tree):
            tree = tree[int(name)]
        else:
            raise Unreadable(f"has no value at {keys}")
    if tree is None or isinstance(tree, Mapping | list):
        raise Unreadable(f"holds at {keys} no single value")
    try:
        return _bytes(tree).decode()  # type: ignore[arg-type]  # the walk lets nothing else through
    except UnicodeDecodeError:
        raise Unreadable(f"holds at {keys} what is no UTF-8 text; store the secret as text") from None


def _bytes(value: Leaf) -> bytes:
    """A value as the digest counts it."""
    return value if isinstance(value, bytes) else _text(value).encode()


def _text(value: str | float | datetime | date) -> str:  # a bool and an int are floats to the type checker
    match value:
        case str():
            return value
        case bool():
            return "True" if value else "False"
        case int():
            return str(value)
        case float():
            plain = format(Decimal(repr(value)), "f")
            return plain.rstrip("0").rstrip(".") if "." in plain else plain
        case datetime():
            if value.tzinfo not in (None, UTC):
                raise Unreadable("holds a moment in the clear that is not in UTC; put it in quotation marks")
            plain = value.replace(tzinfo=None).isoformat()
            return (plain.rstrip("0") if "." in plain else plain) + "Z"
        case _:
            return f"{value.isoformat()}T00:00:00Z"


# --- what SOPS says of a file ----------------------------------------------------------------------------------------


def _metadata_in(told: object) -> _Metadata:
    if not isinstance(told, Mapping):
        raise Unreadable("is not encrypted by SOPS (it has no part named sops)")
    keys = tuple(_age_keys(told))
    if not keys:
        others = [title for name, title in _OTHER_KEYS.items() if told.get(name)]
        if told.get("key_groups"):
            others.append("key groups")
        raise Unreadable(
            f"is not encrypted for age ({', '.join(others) or 'no key at all'}), which alone is read here; "
            "add an age recipient: sops updatekeys"
        )
    mac, last_modified = told.get("mac"), told.get("lastmodified")
    if isinstance(last_modified, datetime):  # somebody took the quotation marks away
        last_modified = _bytes(last_modified).decode()
    if not isinstance(mac, str) or not mac or not isinstance(last_modified, str):
        raise Unreadable("has no digest of its values (MAC), so nothing says that it is whole; encrypt it anew")
    return _Metadata(
        keys,
        last_modified=last_modified,
        mac=mac,
        is_encrypted=_rule_in(told),
        is_mac_of_encrypted=told.get("mac_only_encrypted") in (True, "true"),
    )


def _age_keys(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    listed = told.get("age")
    for each in listed if isinstance(listed, list) else []:
        match each:
            case {"recipient": str(recipient), "enc": str(encrypted)}:
                yield recipient, encrypted
            case _:
                raise Unreadable("has an age key without recipient or enc")


def _rule_in(told: Mapping[str, Any]) -> Callable[[Sequence[str]], bool]:
    """Which values are encrypted; a file has at most one rule."""
    if named := [name for name in _COMMENT_RULES if told.get(name)]:
        raise Unreadable(f"tells by comments what is encrypted ({named[0]}), which is not read here; use a suffix")
    named = [name for name in _RULES if told.get(name)]
    if len(named) > 1:
        raise Unreadable(f"has more than one rule for what is encrypted ({', '.join(named)})")
    name = named[0] if named else "unencrypted_suffix"
    word = told[name] if named else _SUFFIX_OTHERWISE
    if not isinstance(word, str) or len(word) > REGEX_CHARS_MAX:
        raise Unreadable(f"has a rule {name} that is no text of at most {REGEX_CHARS_MAX} characters")
    is_named: Callable[[str], bool]
    if name.endswith("_suffix"):
        is_named = _ending_with(word)
    else:
        try:
            pattern = re.compile(word)
        except re.error:
            raise Unreadable(f"has a rule {name} that cannot be understood") from None
        is_named = _matching(pattern)
    does_encrypt = name.startswith("encrypted_")
    return lambda path: any(is_named(part) for part in path) is does_encrypt


def _ending_with(suffix: str) -> Callable[[str], bool]:
    return lambda part: part.endswith(suffix)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda part: pattern.search(part) is not None


def from_sops(reference: str, rest: str) -> str:
    """The secret behind `sops:/absolute/file.yaml#path.to.key`; `NeedsPerson` (SYS_SECRET) says what is wrong."""
    name, _, keys = rest.partition("#")
    try:
        return read_sops(Path(name), keys or None)
    except Unreadable as problem:
        text = f"{reference}: {problem}"
    except OSError as problem:
        why = problem.strerror or type(problem).__name__
        text = f"{reference}: {why}; put the file there and let this program read it"
    raise NeedsPerson("SYS_SECRET", text, reference=reference)
