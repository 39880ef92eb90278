"""What a certificate may do: whole areas, verbs in them, and single fields that a district keeps back.

Pure. A certificate compares case-sensitively (README rule A4).
"""

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulators.aeries_api.fields import CONTACT, STUDENT_EXTENDED

CERTIFICATES_MAX = 100
AREAS = (
    "School Data",
    "Student Data",
    "Contact Data",
    "Program Data",
    "Test Data",
    "Enrollment History",
    "Class Schedule Data",
    "Staff Data",
    "Teacher Data",
    "Course Data",
    "Master Schedule Data",
    "Code Data",
    "Trigger Student Pre-Enrollment",
)
VERBS = frozenset({"read", "insert", "update", "delete"})
_FORM = re.compile(r"[A-Za-z0-9]{32}")
_DENIABLE = {f"{shape.name}.{name}" for shape in (STUDENT_EXTENDED, CONTACT) for name in shape.properties}


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One vendor's certificate in one district."""

    value: str = field(repr=False)
    permissions: Mapping[str, frozenset[str]] | None = None
    """Verbs per area; None grants everything."""
    denied_fields: frozenset[str] = frozenset()
    """Fields kept back, such as `Student.Birthdate`; only students and contacts have permissions by field."""

    def __post_init__(self) -> None:
        if _FORM.fullmatch(self.value) is None:
            raise ValueError(f"a certificate has 32 letters and digits, this one has {len(self.value)} characters")
        for area, verbs in (self.permissions or {}).items():
            if area not in AREAS or not verbs <= VERBS:
                raise ValueError(f"permissions[{area!r}]: an area of {AREAS} with some of {sorted(VERBS)}")
        if unknown := self.denied_fields - _DENIABLE:
            raise ValueError(f"denied_fields: {sorted(unknown)} are no fields of Student or Contact")

    def allows(self, area: str, verb: str) -> bool:
        """Tell whether the district has granted this verb in this area."""
        return self.permissions is None or verb in self.permissions.get(area, frozenset())


def known(certificates: Sequence[Certificate], sent: str) -> Certificate | None:
    """Find the certificate that was sent, if it is one of these."""
    found = None
    for certificate in certificates:
        if hmac.compare_digest(certificate.value.encode(), sent.encode()):
            found = certificate
    return found


def certificates_in(text: str) -> tuple[Certificate, ...]:
    """Read the certificates of a file: one alone that may do everything, or a JSON list as README.md describes it."""
    if not text.lstrip().startswith("["):
        return (Certificate(value=text.strip()),)
    document = json.loads(text)
    if not 1 <= len(document) <= CERTIFICATES_MAX:
        raise ValueError(f"certificates: a list of 1 to {CERTIFICATES_MAX}")
    return tuple(_certificate_of(item, place=f"certificates[{number}]") for number, item in enumerate(document))


def _certificate_of(item: Any, *, place: str) -> Certificate:
    if not isinstance(item, dict) or not {"certificate"} <= item.keys() <= {
        "certificate",
        "permissions",
        "deniedFields",
    }:
        raise ValueError(f"{place}: an object with certificate, permissions and deniedFields, and nothing else")
    granted = item.get("permissions")
    try:
        return Certificate(
            value=item["certificate"],
            permissions=None if granted is None else {area: frozenset(granted[area]) for area in granted},
            denied_fields=frozenset(item.get("deniedFields", ())),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error
