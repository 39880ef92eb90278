"""A policy as people write it: a YAML or JSON document that sets some limits and leaves the others as they are.

Decides whether the document is a policy, and tells every fault as `file:line:column: what; what to do`. It reads a
text that it is handed and opens no file. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationError

from shared.contract.positions import Located, read_yaml
from shared.contract.problems import PROBLEMS_SHOWN_MAX, Problem
from shared.errors import NeedsPerson
from shared.events.model import Document
from shared.policy.limits import (
    DEFAULT_POLICY,
    LIMIT_NAMES,
    Limit,
    Policy,
    limit_named,
    policy_with,
    uncovered_classes,
)

POLICY_BYTES_MAX = 65_536


class LimitPart(Document):
    """What a document sets of one limit; what is left out stays as it was."""

    count: int | None = Field(default=None, ge=0, strict=True)
    percent: float | None = Field(default=None, ge=0, le=100, strict=True)
    floor: int | None = Field(default=None, ge=0, strict=True)
    warn_percent: float | None = Field(default=None, ge=0, le=100, strict=True)
    is_off: bool | None = Field(default=None, strict=True)


class PolicyDocument(Document):
    """A policy, as written."""

    schema_version: Literal[1]
    limits: dict[str, LimitPart] = Field(default_factory=dict)
    """By class of change or by check."""
    cohort_records_min: int | None = Field(default=None, ge=1, strict=True)
    group_members_min: int | None = Field(default=None, ge=1, strict=True)


def policy_from_document(text: str, *, file: str, base: Policy = DEFAULT_POLICY) -> Policy:
    """The policy in a text; `NeedsPerson` (GRD_POLICY) names every fault by its place in `file`."""
    if len(text.encode(errors="replace")) > POLICY_BYTES_MAX:
        raise _refused(
            file, [Problem(file, 1, 1, f"the policy has more than {POLICY_BYTES_MAX:,} bytes", "shorten it")]
        )
    located = read_yaml(text, file)
    if located.problems:
        raise _refused(file, located.problems)
    try:
        document = PolicyDocument.model_validate(located.value)
    except ValidationError as error:
        raise _refused(
            file,
            [
                located.problem(tuple(fault["loc"]), _told(tuple(fault["loc"]), fault["msg"]), "correct it here")
                for fault in error.errors(include_url=False, include_context=False, include_input=False)
            ],
        ) from None
    problems = _name_problems(document.limits, located)
    if problems:
        raise _refused(file, problems)
    policy = _merged(document, base)
    uncovered = uncovered_classes(policy)
    if uncovered:
        raise _refused(
            file,
            [
                located.problem(
                    ("limits", name),
                    f"no active limit covers changes of class {name}",
                    "set count, or percent below 100",
                )
                for name in uncovered
            ],
        )
    return policy


def _merged(document: PolicyDocument, base: Policy) -> Policy:
    limits: dict[str, Limit] = {}
    off: dict[str, Limit] = {}
    for name, part in document.limits.items():
        limit = limit_named(name, base).model_copy(update=part.model_dump(exclude_none=True, exclude={"is_off"}))
        (off if part.is_off else limits)[name] = limit
    policy = policy_with(limits, base)
    # Only classes of change can be off: `_name_problems` has refused the rest.
    classes = {**policy.classes, **{name: limit.model_copy(update={"is_off": True}) for name, limit in off.items()}}
    least = document.model_dump(include={"cohort_records_min", "group_members_min"}, exclude_none=True)
    return policy.model_copy(update={"classes": classes, **least})


def _name_problems(limits: Mapping[str, LimitPart], located: Located) -> list[Problem]:
    problems = []
    for name, part in limits.items():
        path = ("limits", name)
        if name not in LIMIT_NAMES:
            text, fix = f"no limit is named {name!r}", f"write one of {', '.join(sorted(LIMIT_NAMES))}"
            problems.append(located.problem(path, text, fix, at_key=True))
        elif part.is_off and name not in DEFAULT_POLICY.classes:
            text, fix = f"{name} is a check and cannot be off", "set count: 0 to hold every one"
            problems.append(located.problem((*path, "is_off"), text, fix))
    return problems


def _told(path: tuple[str | int, ...], message: str) -> str:
    return f"{'.'.join(str(part) for part in path) or 'the policy'}: {message}"


def _refused(file: str, problems: list[Problem]) -> NeedsPerson:
    shown = [str(problem) for problem in sorted(problems)[:PROBLEMS_SHOWN_MAX]]
    if len(problems) > len(shown):
        shown.append(f"… and {len(problems) - len(shown)} more")
    return NeedsPerson(
        "GRD_POLICY",
        "\n".join([f"policy {file} has {len(problems)} problems:", *shown]),
        file=file,
        problems=len(problems),
    )
