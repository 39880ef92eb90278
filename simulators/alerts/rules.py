"""What a Klaxon contact may hold: the vendor's field rules, the same for seeds, creates, changes and batches.

Pure: it takes a body and the known codes and says what is wrong; it never changes a value.
"""

import re
from collections.abc import Mapping
from typing import Any

TEXT_LENGTH_MAX = 80
VALUE_LENGTH_MAX = 254
PATHS_MAX = 10
WAIT_SECONDS_MAX = 3_600
WRITABLE = ("firstName", "lastName", "externalId", "recordTypeId", "jobTitle", "status", "paths")
REQUIRED = ("firstName", "lastName", "externalId", "recordTypeId")
OPTIONAL_VALUES: dict[str, Any] = {"jobTitle": None, "status": "A", "paths": []}
"""What a field is that a create or a full update does not name."""
READ_ONLY = ("id", "organizationId", "createdAt", "updatedAt")
KINDS = ("email", "phone")

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class BadBodyError(Exception):
    """The body breaks a rule of the contact."""


class UnknownCodeError(Exception):
    """The body names a record type or a delivery path that does not exist."""


def check_contact(
    body: Mapping[str, Any],
    *,
    record_types: Mapping[int, Any],
    kind_of_path: Mapping[int, str],
    is_partial: bool,
) -> None:
    """Refuse what a contact cannot hold; the error says the field and the rule, never the value."""
    missing = [name for name in REQUIRED if name not in body]
    if missing and not is_partial:
        raise BadBodyError(f"missing: {', '.join(missing)}")
    for name in ("firstName", "lastName", "externalId"):
        if name in body:
            _check_text(name, body[name])
    if body.get("jobTitle") is not None:
        _check_text("jobTitle", body["jobTitle"])
    if "status" in body and body["status"] not in ("A", "I"):
        raise BadBodyError("status must be A or I")
    if "paths" in body:
        _check_paths(body["paths"], kind_of_path=kind_of_path)
    if "recordTypeId" in body:
        record_type = body["recordTypeId"]
        if not isinstance(record_type, int) or isinstance(record_type, bool):
            raise BadBodyError("recordTypeId must be a whole number")
        if record_type not in record_types:
            raise UnknownCodeError("recordTypeId names no record type of this organization")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise BadBodyError(f"{name} must be text and not blank")
    if len(value) > TEXT_LENGTH_MAX:
        raise BadBodyError(f"{name} has {len(value)} characters, at most {TEXT_LENGTH_MAX} are allowed")


def _check_paths(paths: object, *, kind_of_path: Mapping[int, str]) -> None:
    if not isinstance(paths, list) or len(paths) > PATHS_MAX:
        raise BadBodyError(f"paths must be a list of at most {PATHS_MAX}")
    seen: set[int] = set()
    for position, path in enumerate(paths):
        place = f"paths[{position}]"
        if not isinstance(path, dict) or not path.keys() <= {"waitTime", "status", "pathId", "value"}:
            raise BadBodyError(f"{place} holds waitTime, status, pathId and value, and nothing else")
        path_id = path.get("pathId")
        if not isinstance(path_id, int) or isinstance(path_id, bool) or path_id in seen:
            raise BadBodyError(f"{place}.pathId must be a whole number that no other path has")
        seen.add(path_id)
        if path_id not in kind_of_path:
            raise UnknownCodeError(f"{place}.pathId names no delivery path")
        if path.get("status", "A") not in ("A", "I"):
            raise BadBodyError(f"{place}.status must be A or I")
        wait = path.get("waitTime", 0)
        if not isinstance(wait, int) or isinstance(wait, bool) or not 0 <= wait <= WAIT_SECONDS_MAX:
            raise BadBodyError(f"{place}.waitTime must be whole seconds from 0 to {WAIT_SECONDS_MAX}")
        pattern = _EMAIL if kind_of_path[path_id] == "email" else _E164
        value = path.get("value")
        if not isinstance(value, str) or len(value) > VALUE_LENGTH_MAX or pattern.fullmatch(value) is None:
            raise BadBodyError(f"{place}.value is not of the kind {kind_of_path[path_id]}")
