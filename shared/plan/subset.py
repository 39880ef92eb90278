"""A part of a plan: what must be left out together, the root that is signed for the rest, and whether a choice holds.

Pure. An approver may leave changes out; what builds on one of them has to be left out as well, for the applier would
have to skip it anyway and nobody would have said so. What is signed is the RFC 6962 root over the leaves of the changes
that stay in, in change-id order: the leaves of the plan's own tree, so that it says every byte of what may be written;
and beside it the root over the ids that are left out, which a person's own program computes from what the person named.
The differ checks a choice when it is made, and the applier again, from the pages alone.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from shared.errors import NeedsPerson
from shared.hashing.merkle import leaf_hash, root_of
from shared.plan.change import Change, leaf_of
from shared.plan.dependencies import Dependencies
from shared.plan.document import PlanHeader, digest_of_root, in_order
from shared.policy.approval import ALL, DEFERRED_MAX

PREFIX_DIGITS_MIN: Final = 12
"""Hexadecimal digits of a shortened change id: 48 bits, too many to be met by chance."""
NAMED_MAX: Final = 5
"""Changes that a refusal names; the number of all stands beside them."""


@dataclass(frozen=True)
class SubsetIndex:
    """What of a plan a choice among its changes is measured against; it holds no value of a record."""

    run: str
    leaves: Mapping[str, bytes]
    """RFC 6962 leaf hash by change id, in change-id order."""
    classes: Mapping[str, str]
    """Class of change by change id."""
    builds_on: Mapping[str, tuple[str, ...]]
    """By change: those that it builds on directly. Most build on none and are not here."""
    set_aside: frozenset[str]
    """What the plan itself set aside: it is not carried out, and so cannot be left out."""


@dataclass(frozen=True)
class Closure:
    """What is left out when some changes are."""

    left_out: tuple[str, ...]
    """All of them, in change-id order."""
    added: Mapping[str, str]
    """By change that has to go along: the one left out that it builds on."""


def subset_index(header: PlanHeader, changes: Sequence[Change]) -> SubsetIndex:
    """The index over all changes of a plan; `ValueError` when two share an id."""
    ordered = in_order(changes)
    set_aside = frozenset(one.change_id for one in header.excluded)
    # As the applier sees it: nothing waits for what the plan set aside.
    dependencies = Dependencies([one for one in ordered if one.change_id not in set_aside], header.entities)
    return SubsetIndex(
        run=header.run,
        leaves={one.change_id: leaf_hash(leaf_of(one)) for one in ordered},
        classes={one.change_id: one.change_class.value for one in ordered},
        builds_on={one.change_id: found for one in ordered if (found := dependencies.builds_on(one.change_id))},
        set_aside=set_aside,
    )


def closure(left_out: Collection[str], index: SubsetIndex) -> Closure:
    """These changes and all that build on them, directly or not; the smallest set that can be left out.

    What the plan set aside itself is not among them. `KeyError` for an id that the plan does not hold.
    """
    children: dict[str, list[str]] = defaultdict(list)
    for change_id, parents in index.builds_on.items():
        for parent in parents:
            children[parent].append(change_id)
    given = sorted(change_id for change_id in {*left_out} if change_id not in index.set_aside)
    if foreign := {*given}.difference(index.leaves):
        raise KeyError(f"run {index.run}: no change {min(foreign)} in its plan")
    found: set[str] = set(given)
    added: dict[str, str] = {}
    waiting = deque(given)
    while waiting:  # bounded: each change enters once
        parent = waiting.popleft()
        for child in sorted(children[parent]):
            if child not in found:
                found.add(child)
                added[child] = parent
                waiting.append(child)
    return Closure(left_out=tuple(sorted(found)), added=dict(sorted(added.items())))


def subset_root(left_out: Collection[str], index: SubsetIndex) -> str:
    """What an approver signs who leaves these changes out; `ALL` when that is none."""
    if not left_out:
        return ALL
    gone = {*left_out}
    return digest_of_root(root_of([leaf for change_id, leaf in index.leaves.items() if change_id not in gone]))


def left_out_root(left_out: Collection[str]) -> str | None:
    """The root over the ids of what is left out, in order; None when that is nothing."""
    if not left_out:
        return None
    return digest_of_root(root_of([leaf_hash(change_id.encode()) for change_id in sorted({*left_out})]))


def check_subset(subset: str, deferred: Sequence[str], index: SubsetIndex, *, signed_left_out: str | None) -> None:
    """`NeedsPerson` unless these changes of the plan can be left out together, and were signed as such with the rest.

    `signed_left_out` is the approval's `left_out_root`, `subset` its root over what stays in.
    """
    run = index.run
    if subset == ALL and not deferred:
        return
    if subset == ALL or not deferred:
        what = "of the whole plan" if subset == ALL else "of a part"
        _refuse(run, f"the approval is {what}, and {len(deferred)} changes are named as left out")
    if len(deferred) > DEFERRED_MAX:
        _refuse(run, too_many(len(deferred)))
    if len({*deferred}) < len(deferred):
        _refuse(run, "a change is named twice among those left out")
    if foreign := [one for one in deferred if one not in index.leaves]:
        _refuse(run, f"{len(foreign)} of the changes left out are not of its plan: {_named(foreign)}")
    if aside := [one for one in deferred if one in index.set_aside]:
        _refuse(run, f"{len(aside)} of the changes left out were set aside by the plan already: {_named(aside)}")
    if len(deferred) + len(index.set_aside) >= len(index.leaves):
        _refuse(run, "nothing would be left to carry out; reject the plan")
    if added := closure(deferred, index).added:
        _refuse(run, f"{len(added)} changes build on those left out and must go along: {_named([*added])}")
    if (named := left_out_root(deferred)) != signed_left_out:
        raise NeedsPerson(
            "APV_WRONG_DIGEST",
            f"run {run}: the ids of the {len(deferred)} changes left out have the root {named}; "
            f"signed is {signed_left_out}",
            run=run,
        )
    if (root := subset_root(deferred, index)) != subset:
        raise NeedsPerson(
            "APV_WRONG_DIGEST",
            f"run {run}: without the {len(deferred)} changes left out the plan has the root {root}; signed is {subset}",
            run=run,
        )


def resolved(given: Collection[str], index: SubsetIndex) -> list[str]:
    """The change ids that these are, or begin, in order; `NeedsPerson` for one that names none or several."""
    ordered, found = list(index.leaves), set[str]()
    for one in given:
        digits = one.strip().lower()
        if re.fullmatch(r"[0-9a-f]{12,64}", digits) is None:
            _refuse(index.run, f"{one[:80]!r} is no change id, nor its first {PREFIX_DIGITS_MIN} or more digits")
        at = bisect_left(ordered, digits)
        named = [change_id for change_id in ordered[at : at + 2] if change_id.startswith(digits)]
        if not named:
            _refuse(index.run, f"its plan has no change {digits}; copy the id from the plan")
        if len(named) > 1:
            _refuse(index.run, f"several changes begin with {digits}; give more digits")
        found.add(named[0])
    return sorted(found)


def of_other_classes(classes: Collection[str], index: SubsetIndex) -> list[str]:
    """The changes of every class but these, without what the plan set aside, in order."""
    kept = {*classes}
    return [one for one, name in index.classes.items() if name not in kept and one not in index.set_aside]


def too_many(left_out: int) -> str:
    """What is said of more changes than one decision may leave out."""
    return f"{left_out:,} changes would be left out, allowed {DEFERRED_MAX:,}; reject the plan, or narrow the connector"


def _named(change_ids: Sequence[str]) -> str:
    more = f" and {len(change_ids) - NAMED_MAX} more" if len(change_ids) > NAMED_MAX else ""
    return ", ".join(one[:80] for one in change_ids[:NAMED_MAX]) + more


def _refuse(run: str, what: str) -> NoReturn:
    raise NeedsPerson("APV_MALFORMED", f"run {run}: {what}", run=run)
