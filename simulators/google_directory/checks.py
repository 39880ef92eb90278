"""Reading the parameters and the body of a call: names, types and limits, before any record is looked at (C2 to C5)."""

import json
from typing import Any

from simulators.google_directory.errors import Refused
from simulators.google_directory.methods import COMMON_PARAMETERS, Method
from simulators.google_directory.shapes import body_error
from simulators.google_directory.switches import GoogleSwitches
from simulators.kit.gateway import Call


def checked_query(call: Call, method: Method, *, switches: GoogleSwitches) -> dict[str, str]:
    """Give back the parameters of a call; a limit that is too high is refused, or cut where it is switched so (P2)."""
    checked = {}
    for name, text in call.query.items():
        if name in COMMON_PARAMETERS:
            if name == "alt" and text != "json":
                raise Refused("invalid", "Invalid value for alt", rule="C3")
            checked[name] = text
            continue
        parameter = method.parameters.get(name)
        if parameter is None:
            raise Refused("badRequest", f'Unknown name "{name[:60]}": Cannot bind query parameter.', rule="C2")
        value = text
        is_good = not parameter.values or text in parameter.values
        if parameter.kind == "boolean":
            is_good = text.lower() in {"true", "false"}
        elif parameter.kind == "integer":
            is_good = text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= 1
            if is_good and int(text) > parameter.most:
                if switches.over_limit == "refuse":
                    raise Refused("invalid", f"Invalid value for {name}: at most {parameter.most}", rule="P2")
                value = str(parameter.most)
        if not is_good:
            raise Refused("invalid", f"Invalid value for {name}", rule="C3")
        checked[name] = value
    return checked


def checked_body(call: Call, method: Method) -> dict[str, Any]:
    """Give back the body of a call as an object; without a body it is empty."""
    if call.is_body_too_large:
        raise Refused("requestTooLarge", rule="C4")
    if not method.body or not call.body.strip():
        return {}
    if "json" not in call.headers.get("content-type", "").lower():
        raise Refused("badRequest", "Content-Type must be application/json", rule="C4")
    try:
        body = json.loads(call.body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("badRequest", "Parse Error", rule="C4") from error
    if not isinstance(body, dict):
        raise Refused("badRequest", "Parse Error", rule="C4")
    if (complaint := body_error(body, method.body)) is not None:
        raise Refused("invalid", complaint, rule="C5")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
