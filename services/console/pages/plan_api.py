"""The plan review as JSON: the same models that the pages show, and the same acts.

Acts take the token of the session in the header `x-csrf-token`. A refusal has a code of the catalogue, a sentence and
what to do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import Field

from services.console.pages.answers import errors
from services.console.pages.plan_deciding import Wish, decide
from services.console.pages.plan_reading import OFFSET_MAX, changes_of, groups_of, head_of
from services.console.pages.plan_view import PAGE_ROWS, ChangesQuery, GroupShown, PlanHead
from services.console.visiting import Approver, Revealer, SignedIn, Visitor, console_of
from shared.audit.plan_lookups import Grouping
from shared.events.model import Document
from shared.events.queries import (
    CHANGES_MAX,
    SEARCH_CHARS_MAX,
    ChangeView,
    RevealChange,
    RevealedChange,
    SubsetAnswer,
    SubsetQuery,
)
from shared.policy.approval import ALL, DEFERRED_MAX, ChangeId, Subset


class ChangesAnswer(Document):
    """A page of changes."""

    run: str
    total: int
    offset: int
    changes: tuple[ChangeView, ...]


class GroupsAnswer(Document):
    """The largest groups of changes."""

    run: str
    groups: tuple[GroupShown, ...]


class ApproveBody(Document):
    """An approval, bound to the digest that was reviewed."""

    digest: str = Field(max_length=100)
    reason: str = Field(min_length=1, max_length=500)
    override: bool = False
    """Release what the guard holds; needed for a held plan, refused for another."""
    left_out: tuple[ChangeId, ...] = Field(default=(), max_length=DEFERRED_MAX)
    """Every change that is left out, closed as `/plan/part` answers it."""
    subset_root: Subset = ALL
    """As `/plan/part` answers it."""


class RejectBody(Document):
    """A rejection, bound to the digest that was reviewed."""

    digest: str = Field(max_length=100)
    reason: str = Field(min_length=1, max_length=500)


class PartBody(Document):
    """Changes that shall be left out."""

    left_out: tuple[ChangeId, ...] = Field(min_length=1, max_length=DEFERRED_MAX)


class RevealBody(Document):
    """Why personal values are needed."""

    reason: str = Field(min_length=10, max_length=500)


class Decided(Document):
    """What became of the run by the decision."""

    run: str
    decision: Literal["approve", "reject"]
    status: str | None


Run = Annotated[str, Path(max_length=100)]
Offset = Annotated[int, Query(ge=0, le=OFFSET_MAX)]

api = APIRouter(prefix="/api/v1", tags=["plans"], responses=errors(404, 422))


@api.get("/runs/{run}/plan")
async def plan(request: Request, run: Run, visitor: SignedIn) -> PlanHead:
    """Everything about a run's plan but its changes."""
    return await head_of(console_of(request), run, visitor)


@api.get("/runs/{run}/plan/changes")
async def changes(
    request: Request,
    run: Run,
    visitor: SignedIn,
    entity: Annotated[str | None, Query(max_length=100)] = None,
    change_class: Annotated[str | None, Query(max_length=40)] = None,
    cohort: Annotated[str | None, Query(max_length=300)] = None,
    alike: Annotated[str | None, Query(max_length=80)] = None,
    result: Annotated[str | None, Query(max_length=40)] = None,
    text: Annotated[str | None, Query(max_length=SEARCH_CHARS_MAX)] = None,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=CHANGES_MAX)] = PAGE_ROWS,
) -> ChangesAnswer:
    """A page of the changes asked for, in change-id order; personal values are masked."""
    console = console_of(request)
    head = await head_of(console, run, visitor)
    wanted = ChangesQuery(
        entity=entity, change_class=change_class, cohort=cohort, alike=alike, result=result, text=text
    )  # fmt: skip
    found, total = await changes_of(console, head, wanted, offset=offset, limit=limit)
    return ChangesAnswer(run=run, total=total, offset=offset, changes=found)


@api.get("/runs/{run}/plan/groups")
async def groups(
    request: Request,
    run: Run,
    visitor: SignedIn,
    by: Grouping = "class",
    entity: Annotated[str | None, Query(max_length=100)] = None,
    change_class: Annotated[str | None, Query(max_length=40)] = None,
    cohort: Annotated[str | None, Query(max_length=300)] = None,
    text: Annotated[str | None, Query(max_length=SEARCH_CHARS_MAX)] = None,
) -> GroupsAnswer:
    """The changes asked for, put together by what they have in common; the largest groups."""
    console = console_of(request)
    head = await head_of(console, run, visitor)
    wanted = ChangesQuery(entity=entity, change_class=change_class, cohort=cohort, text=text)
    return GroupsAnswer(run=run, groups=await groups_of(console, head, wanted, by))


@api.post("/runs/{run}/approve", responses=errors(403, 409))
async def approve(request: Request, run: Run, visitor: Approver, body: ApproveBody) -> Decided:
    """Approve the plan of this digest, or the part of it."""
    wish = Wish(
        decision="approve",
        digest=body.digest,
        reason=body.reason,
        is_override=body.override,
        left_out=tuple(sorted(set(body.left_out))),
        subset_root=body.subset_root,
    )
    reply = await decide(console_of(request), visitor, run, wish)
    return Decided(run=run, decision="approve", status=reply.status)


@api.post("/runs/{run}/reject", responses=errors(403, 409))
async def reject(request: Request, run: Run, visitor: Approver, body: RejectBody) -> Decided:
    """Reject the plan of this digest."""
    wish = Wish(decision="reject", digest=body.digest, reason=body.reason)
    reply = await decide(console_of(request), visitor, run, wish)
    return Decided(run=run, decision="reject", status=reply.status)


@api.post("/runs/{run}/plan/part", responses=errors(403, 409))
async def part(request: Request, run: Run, visitor: Approver, body: PartBody) -> SubsetAnswer:
    """What must go along when these changes are left out, and the root to approve the rest with."""
    console = console_of(request)
    await head_of(console, run, visitor)
    async with console.acting.as_person(visitor) as person:
        return await person.subset(SubsetQuery(run=run, left_out=tuple(sorted(set(body.left_out)))))


@api.post("/runs/{run}/plan/changes/{change_id}/reveal", responses=errors(403, 409))
async def reveal(
    request: Request,
    run: Run,
    change_id: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    visitor: Revealer,
    body: RevealBody,
) -> RevealedChange:
    """The personal values of one change; who asked and why is in the audit log before they are answered."""
    console = console_of(request)
    await head_of(console, run, visitor)
    if await console.records.plans.change(run, change_id) is None:
        raise HTTPException(404, f"The plan of run {run} holds no such change.")
    return await revealed_change(request, visitor, RevealChange(run=run, change_id=change_id, reason=body.reason))


async def revealed_change(request: Request, visitor: Visitor, question: RevealChange) -> RevealedChange:
    """Ask the auditor as the visitor; it answers after it stored that it was asked."""
    async with console_of(request).acting.as_person(visitor) as person:
        return await person.reveal_change(question)
