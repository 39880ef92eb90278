"""What the vendor's own discovery document says of a request and of an answer: names, types, what is required.

The document comes with the official client, which is a test dependency. Nothing here knows the simulator.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient  # type: ignore[import-untyped]  # the official client has no types


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMethod:
    """One method of the document."""

    id: str
    document: dict[str, Any]


@cache
def discovery() -> dict[str, Any]:
    """Read the document."""
    folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
    document: dict[str, Any] = json.loads((folder / "admin.directory_v1.json").read_bytes())
    return document


@cache
def methods() -> dict[str, dict[str, Any]]:
    """Every method by its id without the common beginning, such as `users.list`."""
    found: dict[str, dict[str, Any]] = {}

    def gather(holder: dict[str, Any]) -> None:
        for method in holder.get("methods", {}).values():
            found[method["id"].removeprefix("directory.")] = method
        for inner in holder.get("resources", {}).values():
            gather(inner)

    gather(discovery())
    return found


def find_method(verb: str, path: str) -> FoundMethod | None:
    """Find the method of a verb and a path; the path is not decoded."""
    found: list[tuple[int, str]] = []
    for name, document in methods().items():
        parts = re.split(r"\{([^}]+)\}", document["path"])
        pattern = "".join(
            re.escape(part) if number % 2 == 0 else _pattern_of(document["parameters"], part)
            for number, part in enumerate(parts)
        )
        if document["httpMethod"] == verb and re.fullmatch("/" + pattern, path):
            found.append((len("".join(parts[::2])), name))
    if not found:
        return None
    # Some paths are open to anything; the one with the most text of its own is meant.
    name = max(found)[1]
    return FoundMethod(id=name, document=methods()[name])


def _pattern_of(parameters: Mapping[str, Any], name: str) -> str:
    if not name.startswith("+"):
        return "[^/]+"
    pattern: str = parameters[name[1:]].get("pattern", ".*")
    return f"(?:{pattern.removeprefix('^').removesuffix('$')})"


def check_request(method: str, path: str, query: Mapping[str, str], body: Any) -> list[str]:
    """Say what is wrong with what a client sends: path, parameters, required ones, body; empty when nothing is."""
    found = find_method(method, path)
    if found is None:
        return [f"{method} {path}: no such method"]
    known = discovery()["parameters"] | found.document.get("parameters", {})
    problems = [f"{found.id}: unknown parameter {name}" for name in query if name not in known]
    for name, text in query.items():
        problems += [f"{found.id}: {complaint}" for complaint in _parameter_problems(name, text, known.get(name, {}))]
    for name, parameter in found.document.get("parameters", {}).items():
        if parameter.get("required") and parameter["location"] == "query" and name not in query:
            problems.append(f"{found.id}: parameter {name} is required")
    shape = found.document.get("request")
    if shape is None:
        return problems + ([f"{found.id}: takes no body"] if body is not None else [])
    if body is None:
        return [*problems, f"{found.id}: needs a body"]
    problems += _problems(body, shape, at=found.id, is_request=True)
    return problems + _missing(body, shape["$ref"], method_id=found.document["id"], at=found.id)


def check_answer(method: str, path: str, status: int, document: Any, *, is_partial: bool = False) -> list[str]:
    """Say what is wrong with an answer; None is an empty one, a partial one need not say its kind.

    Refusals must have the documented error body.
    """
    if status >= 400:
        return _error_problems(status, document)
    found = find_method(method, path)
    if found is None:
        return [f"{method} {path}: no such method, and yet {status}"]
    shape = found.document.get("response")
    if shape is None or document is None:
        is_same = shape is None and document is None
        return [] if is_same else [f"{found.id}: a body is {'not ' if shape is None else ''}expected"]
    problems = _problems(document, shape, at=found.id, is_request=False)
    kind = discovery()["schemas"][shape["$ref"]].get("properties", {}).get("kind", {}).get("default")
    if kind is not None and not is_partial and document.get("kind") != kind:
        problems.append(f"{found.id}: kind is {document.get('kind')!r}, not {kind!r}")
    return problems


def _parameter_problems(name: str, text: str, parameter: Mapping[str, Any]) -> list[str]:
    kind = parameter.get("type")
    if kind == "boolean" and text not in {"true", "false"}:
        return [f"parameter {name}: {text!r} is not true or false"]
    if kind == "integer":
        least, most = int(parameter.get("minimum", -(2**31))), int(parameter.get("maximum", 2**31 - 1))
        if not re.fullmatch(r"-?[0-9]+", text) or not least <= int(text) <= most:
            return [f"parameter {name}: {text!r} is not a whole number from {least} to {most}"]
    if "enum" in parameter and text not in parameter["enum"]:
        return [f"parameter {name}: {text!r} is none of {parameter['enum']}"]
    return []


def _problems(value: Any, shape: Mapping[str, Any], *, at: str, is_request: bool) -> list[str]:
    if "$ref" in shape:
        return _problems(value, discovery()["schemas"][shape["$ref"]], at=at, is_request=is_request)
    kind = shape.get("type", "any")
    if value is None:
        return [] if is_request or kind == "any" else [f"{at}: null"]
    if kind == "any":
        return []
    if kind == "object":
        return _object_problems(value, shape, at=at, is_request=is_request)
    if kind == "array":
        if not isinstance(value, list):
            return [f"{at}: not a list"]
        inner = (
            _problems(item, shape["items"], at=f"{at}[{n}]", is_request=is_request) for n, item in enumerate(value)
        )
        return [problem for problems in inner for problem in problems]
    fits = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
    }[kind]
    return [] if fits and _has_format(value, shape.get("format")) else [f"{at}: {value!r} is not {kind}"]


def _object_problems(value: Any, shape: Mapping[str, Any], *, at: str, is_request: bool) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: not an object"]
    known, rest = shape.get("properties", {}), shape.get("additionalProperties")
    problems = []
    for name, item in value.items():
        inner = known.get(name, rest)
        if inner is None:
            problems.append(f"{at}.{name}: unknown member")
        else:
            problems += _problems(item, inner, at=f"{at}.{name}", is_request=is_request)
    return problems


def _missing(body: Any, schema: str, *, method_id: str, at: str) -> list[str]:
    problems = []
    for name, member in discovery()["schemas"][schema].get("properties", {}).items():
        value = body.get(name) if isinstance(body, dict) else None
        if method_id in member.get("annotations", {}).get("required", []) and value in (None, ""):
            problems.append(f"{at}.{name}: is required")
        if "$ref" in member and value is not None:
            problems += _missing(value, member["$ref"], method_id=method_id, at=f"{at}.{name}")
    return problems


def _has_format(value: Any, name: str | None) -> bool:
    match name:
        case "date-time":
            return datetime.fromisoformat(value).tzinfo is not None
        case "int64":
            return re.fullmatch(r"-?[0-9]+", str(value)) is not None
        case _:
            return True


def _error_problems(status: int, document: Any) -> list[str]:
    match document:
        case {"error": {"code": int(code), "message": str(), "errors": [*errors], **rest}} if errors and not rest:
            named = all(isinstance(error, dict) and error.keys() == {"message", "domain", "reason"} for error in errors)
            return [] if named and code == status else [f"{status}: an error body of another shape"]
    return [f"{status}: no documented error body"]
