"""Secrets by reference: connections and settings name where a secret lies; only this package reads it."""

from shared.secrets.references import Secret, SecretReference, forget_kept, resolve

__all__ = ["Secret", "SecretReference", "forget_kept", "resolve"]
