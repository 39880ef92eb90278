"""Reading the file of people: who may give commands, in which roles, and with which key they sign."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from shared.errors import NeedsPerson
from shared.events.envelope import what_is_wrong
from shared.policy.approval import Identities


def load_identities(path: Path) -> Identities:
    """The people in a JSON file; `NeedsPerson` names the file and what is wrong with it."""
    try:
        return Identities.model_validate_json(path.read_bytes())
    except OSError as error:
        raise NeedsPerson("SRC_CONFIG", f"{path}: the file of people cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise NeedsPerson("SRC_CONFIG", f"{path}: {what_is_wrong(error)}") from None
