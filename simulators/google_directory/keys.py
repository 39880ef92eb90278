"""Service accounts of the simulated project: what the token endpoint knows of one, and a new key for one.

`python -m simulators.google_directory.keys --email E --token-uri U --scope S… --key-file K --account-file A` writes the
key file that a client loads, in the vendor's own form, and the account file that the simulator loads. The key is real,
the project is not: the key opens nothing but this simulator.
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from simulators.google_directory.methods import SCOPES

KEY_BITS = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A service account with domain-wide delegation, as the token endpoint knows it."""

    client_email: str
    public_key_pem: str
    delegated_scopes: frozenset[str]
    """Whole scope addresses that the account may ask for."""

    @classmethod
    def from_document(cls, document: Any) -> "ServiceAccount":
        """Read an account file; `ValueError` says what is wrong."""
        match document:
            case {"clientEmail": str(email), "publicKeyPem": str(pem), "delegatedScopes": list(scopes)}:
                if unknown := set(map(str, scopes)) - SCOPES:
                    raise ValueError(f"account {email}: delegatedScopes: {sorted(unknown)} are no scopes of this API")
                account = cls(client_email=email, public_key_pem=pem, delegated_scopes=frozenset(scopes))
                account.public_key()
                return account
        raise ValueError("an account needs clientEmail, publicKeyPem and delegatedScopes")

    def public_key(self) -> rsa.RSAPublicKey:
        """Load the key; `ValueError` when it is no RSA key."""
        key = serialization.load_pem_public_key(self.public_key_pem.encode())
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError(f"account {self.client_email}: publicKeyPem is no RSA key")
        return key


def new_key(*, client_email: str, token_uri: str, scopes: frozenset[str]) -> tuple[dict[str, str], ServiceAccount]:
    """Make a key: the client's key file and the account that goes with it."""
    private = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    private_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public_pem = (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    key_file = {
        "type": "service_account",
        "project_id": "simulated",
        "private_key_id": hashlib.sha256(public_pem.encode()).hexdigest()[:40],
        "private_key": private_pem,
        "client_email": client_email,
        "client_id": "100000000000000000001",
        "token_uri": token_uri,
    }
    return key_file, ServiceAccount(client_email=client_email, public_key_pem=public_pem, delegated_scopes=scopes)


def account_document(account: ServiceAccount) -> dict[str, Any]:
    """Write an account file."""
    return {
        "clientEmail": account.client_email,
        "publicKeyPem": account.public_key_pem,
        "delegatedScopes": sorted(account.delegated_scopes),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write a key file and an account file."""
    parser = argparse.ArgumentParser(prog="python -m simulators.google_directory.keys", description="A new key.")
    parser.add_argument("--email", required=True, help="the service account's address")
    parser.add_argument("--token-uri", required=True, help="where the client gets its tokens: …/token")
    parser.add_argument("--scope", action="append", help="a delegated scope; all of this API when absent")
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--account-file", type=Path, required=True)
    options = parser.parse_args(arguments)
    scopes = frozenset(options.scope or SCOPES)
    key_file, account = new_key(client_email=options.email, token_uri=options.token_uri, scopes=scopes)
    options.key_file.touch(mode=0o600)
    options.key_file.write_text(json.dumps(key_file, indent=1), encoding="utf-8")
    options.account_file.write_text(json.dumps(account_document(account), indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
