"""The policy of one connector: the house's limits with those that its definition sets.

Decides nothing about a plan; the differ judges by it, and the command line shows it. Pure.
"""

from __future__ import annotations

from shared.contract.model import ConnectorDefinition
from shared.errors import NeedsPerson
from shared.policy.limits import Limit, Policy, limit_named, policy_with, uncovered_classes


def policy_of(definition: ConnectorDefinition) -> Policy:
    """The connector's policy: the defaults with its own limits. A part that it leaves out stays as it is."""
    overrides: dict[str, Limit] = {}
    for name, override in definition.guard.items():
        overrides[name] = limit_named(name).model_copy(update=override.model_dump(exclude_none=True))
    return policy_with(overrides)


def check_policy(definition: ConnectorDefinition) -> None:
    """`NeedsPerson` CTR_INVALID unless every limit that is set exists and every class of change has one."""
    try:
        uncovered = uncovered_classes(policy_of(definition))
    except ValueError as error:
        raise NeedsPerson(
            "CTR_INVALID", f"connector {definition.name}: guard: {error}; correct the name", connector=definition.name
        ) from None
    if uncovered:
        raise NeedsPerson(
            "CTR_INVALID",
            f"connector {definition.name}: guard: no limit covers changes of class {', '.join(uncovered)}; set one",
            connector=definition.name,
        )
