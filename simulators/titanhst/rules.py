"""What a TitanHST contact may hold: the vendor's field rules, checked the same for seeds, creates and changes.

Pure: it takes a body and the known codes and returns the texts of what is wrong, per field; it never changes a value.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

TEXT_LENGTH_MAX = 100
WRITABLE = ("externalId", "firstName", "lastName", "email", "mobilePhone", "role", "locationCode", "active")
REQUIRED = ("firstName", "lastName", "role", "locationCode")
NULLABLE = ("externalId", "email", "mobilePhone")

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")

Errors = dict[str, list[str]]


def body_errors(
    body: Mapping[str, Any], *, roles: Collection[str], locations: Collection[str], is_partial: bool
) -> Errors:
    """Say what is wrong with a create (whole) or a change (partial); empty when nothing is."""
    checks: dict[str, Callable[[str], str | None]] = {
        "externalId": lambda text: None if text.strip() else "must not be empty",
        "firstName": lambda text: None if text.strip() else "must not be empty",
        "lastName": lambda text: None if text.strip() else "must not be empty",
        "email": lambda text: None if _EMAIL.fullmatch(text) else "is not an e-mail address",
        "mobilePhone": lambda text: None if _E164.fullmatch(text) else "is not an E.164 number such as +15625550123",
        "role": lambda text: None if text in roles else "is not a known role",
        "locationCode": lambda text: None if text in locations else "is not a known location",
    }
    errors: Errors = {}
    for name, value in body.items():
        if name not in WRITABLE:
            errors[name] = ["is not a field of a contact, or cannot be written"]
        elif name == "active":
            if not isinstance(value, bool):
                errors[name] = ["must be true or false"]
        elif value is None:
            if name not in NULLABLE:
                errors[name] = ["must not be null"]
        elif not isinstance(value, str):
            errors[name] = ["must be text"]
        elif len(value) > TEXT_LENGTH_MAX:
            errors[name] = [f"has {len(value)} characters, at most {TEXT_LENGTH_MAX} are allowed"]
        elif (complaint := checks[name](value)) is not None:
            errors[name] = [complaint]
    if not is_partial:
        errors |= {name: ["is required"] for name in REQUIRED if name not in body}
    return errors
