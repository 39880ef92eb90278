"""The shapes in which a simulated Apex answers, and the small things it reads from a request.

Pure: nothing here knows a record of the vendor.
"""

import json
from typing import Any

from simulators.apex.people import Done
from simulators.apex.rules import KEYS, Kind
from simulators.kit.gateway import Answer, Call

PAGE_NUMBER_MAX = 1_000_000
REFUSED_CODE = 400
DONE_CODE = 200


class Refused(Exception):
    """The vendor says no; with a rule, the client broke it and that is recorded."""

    def __init__(self, status: int, message: str, *, rule: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.rule = rule


def result_of(kind: Kind, item: Any, done: Done) -> dict[str, Any]:
    """Say what became of one item (A13)."""
    key = item.get(KEYS[kind]) if isinstance(item, dict) else None
    return {"Code": REFUSED_CODE if done.is_refused else DONE_CODE, "Message": done.message, KEYS[kind]: key}


def without_password(item: Any) -> Any:
    """Keep an item without its password (A10)."""
    return item | {"LoginPw": "(set)"} if isinstance(item, dict) and item.get("LoginPw") else item


def only_active(call: Call) -> bool:
    """Tell whether only Active enrolments were asked for (A26)."""
    return call.query.get("isActiveOnly", "false").lower() == "true"


def page_number(call: Call) -> int | None:
    """Read the number of the page that the header `page` asks for; None when it is no page number (A6)."""
    text = call.headers.get("page", "1")
    is_number = text.isascii() and text.isdigit() and len(text) <= 9
    return int(text) if is_number and 1 <= int(text) <= PAGE_NUMBER_MAX else None


def header_text(text: str) -> str:
    """Read a header value that may hold UTF-8."""
    # Header bytes come as Latin-1; a key outside ASCII was sent as UTF-8.
    try:
        return text.encode("latin-1").decode()
    except UnicodeDecodeError:
        return text


def json_answer(
    status: int,
    document: object,
    *,
    headers: dict[str, str] | None = None,
    effect: str = "none",
    external_id: str | None = None,
    record_id: str | None = None,
) -> Answer:
    """Answer with a JSON document."""
    return Answer(
        status=status,
        body=json.dumps(document, separators=(",", ":")).encode(),
        headers=headers or {},
        effect=effect,
        external_id=external_id,
        record_id=record_id if record_id is not None else external_id,
    )


def refuse_constant(name: str) -> None:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not JSON")
