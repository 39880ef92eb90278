"""Plan review: what a run would change, judged by the guard, and the forms by which a person decides.

The head of the plan comes first (what, where, how risky, what the guard says), then its changes, grouped and page by
page. What is shown is masked; the handlers are thin, `plan_view` says what is shown and `plan_deciding` what is signed.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from services.console.pages import plan_api
from services.console.pages.plan_deciding import Wish, check_number, checked, decide, ids_in
from services.console.pages.plan_reading import CHOICES, OFFSET_MAX, changes_of, groups_of, head_of
from services.console.pages.plan_view import (
    DECIDABLE,
    GROUPINGS,
    PAGE_ROWS,
    RESULTS,
    ChangesQuery,
    PlanHead,
    needs_groups,
    visible_fields,
)
from services.console.rendering import page
from services.console.visiting import Approver, Revealer, SignedIn, Visitor, console_of
from shared.asking.problem import CommandFailed
from shared.audit.plan_lookups import Grouping
from shared.events.queries import ChangeView, RevealChange, SubsetAnswer, SubsetQuery
from shared.policy.approval import ALL, DEFERRED_MAX

router = APIRouter()
api = plan_api.api

PART_ROWS: Final = 100
"""Changes left out that the page of a part shows; those that go along first."""
HISTORY_ROWS: Final = 20
REASON_CHARACTERS_MIN: Final = 10
REASON_CHARACTERS_MAX: Final = 500


def _query(
    entity: Annotated[str, Query(max_length=100)] = "",
    change_class: Annotated[str, Query(max_length=40)] = "",
    cohort: Annotated[str, Query(max_length=300)] = "",
    alike: Annotated[str, Query(max_length=80)] = "",
    result: Annotated[str, Query(max_length=40)] = "",
    text: Annotated[str, Query(max_length=100)] = "",
) -> ChangesQuery:
    return ChangesQuery(
        entity=entity or None,
        change_class=change_class or None,
        cohort=cohort or None,
        alike=alike or None,
        result=result or None,
        text=text.strip() or None,
    )


Wanted = Annotated[ChangesQuery, Depends(_query)]
Offset = Annotated[int, Query(ge=0, le=OFFSET_MAX)]


@router.get("/runs/{run}/plan")
async def show_plan(
    request: Request, run: str, visitor: SignedIn, wanted: Wanted, by: Grouping = "class", offset: Offset = 0
) -> Response:
    """The plan of a run, from the guard's lines down to each field."""
    head = await head_of(console_of(request), run, visitor)
    return await _review(request, visitor, head, wanted, by=by, offset=offset)


async def _review(
    request: Request,
    visitor: Visitor,
    head: PlanHead,
    wanted: ChangesQuery,
    *,
    by: Grouping,
    offset: int,
    chosen: tuple[str, ...] = (),
    is_choosing: bool = False,
) -> Response:
    console = console_of(request)
    changes, total = await changes_of(console, head, wanted, offset=offset, limit=PAGE_ROWS)
    return page(
        request,
        "plan.html",
        visitor=visitor,
        head=head,
        wanted=wanted,
        by=by,
        groupings=GROUPINGS,
        groups=await groups_of(console, head, wanted, by) if needs_groups(wanted, by=by, total=total) else (),
        is_grouped=needs_groups(wanted, by=by, total=total),
        choices=await CHOICES.of(console, head),
        results=RESULTS if head.status not in DECIDABLE else (),
        changes=changes,
        total=total,
        offset=offset,
        limit=PAGE_ROWS,
        chosen=frozenset(chosen),
        is_left_out=frozenset(head.deciding.left_out),
        is_choosing=is_choosing,
        may_choose=head.deciding.may_decide and head.deciding.part is None and not head.approvals,
        may_reveal=visitor.has("operator", "approver", "steward", "auditor"),
        visible_fields=visible_fields,
    )


# --- deciding -------------------------------------------------------------------------------------------------------


@router.post("/runs/{run}/plan/approve")
async def approve(
    request: Request,
    run: str,
    visitor: Approver,
    digest: Annotated[str, Form(max_length=100)] = "",
    reason: Annotated[str, Form(max_length=4_000)] = "",
    override: Annotated[str, Form(max_length=10)] = "",
    left_out: Annotated[str, Form()] = "",
    subset_root: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Approve the plan that the form shows, or the part of it."""
    wish = Wish(
        decision="approve",
        digest=digest,
        reason=reason,
        is_override=override == "yes",
        left_out=ids_in(left_out),
        subset_root=subset_root or ALL,
    )
    await decide(console_of(request), visitor, run, wish)
    return RedirectResponse(f"/runs/{run}?done=approved", status_code=303)


@router.post("/runs/{run}/plan/reject")
async def reject(
    request: Request,
    run: str,
    visitor: Approver,
    digest: Annotated[str, Form(max_length=100)] = "",
    reason: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """Reject the plan that the form shows."""
    await decide(console_of(request), visitor, run, Wish(decision="reject", digest=digest, reason=reason))
    return RedirectResponse(f"/runs/{run}?done=rejected", status_code=303)


@router.post("/runs/{run}/plan/choose")
async def choose(request: Request, run: str, visitor: Approver) -> Response:
    """Another part of the list, with what was ticked kept in the form."""
    form = await request.form()
    head = await head_of(console_of(request), run, visitor)
    try:
        wanted = ChangesQuery.model_validate(
            {name: value for name in ChangesQuery.model_fields if (value := _text(form, name))}
        )
        offset = int(_text(form, "offset") or 0)
    except ValueError:
        raise HTTPException(422, "The filter or the place in the list cannot be read.") from None
    if not 0 <= offset <= OFFSET_MAX:
        raise HTTPException(422, f"The place in the list is {offset}, allowed 0 to {OFFSET_MAX}.")
    by: Grouping = next((name for name in GROUPINGS if name == _text(form, "by")), "class")
    return await _review(
        request, visitor, head, wanted, by=by, offset=offset, chosen=_chosen(form), is_choosing=True
    )  # fmt: skip


@router.post("/runs/{run}/plan/part")
async def show_part(request: Request, run: str, visitor: Approver) -> Response:
    """What approving the plan without the ticked changes means, and the form that does so."""
    console = console_of(request)
    form = await request.form()
    head = await head_of(console, run, visitor)
    chosen = {*_chosen(form)}
    if group := _text(form, "leave_group"):
        chosen.update(await _ids_of_group(request, head, group))
    check_number(len(chosen))
    if not chosen:
        raise CommandFailed("no change was ticked", action="Tick what is to be left out, or approve the whole plan.")
    async with console.acting.as_person(visitor) as person:
        answer = await person.subset(SubsetQuery(run=run, left_out=tuple(sorted(chosen))))
    if answer.problem is None:
        checked(answer, head=head, named=chosen)
    return await _part(request, visitor, head, answer, chosen=tuple(sorted(chosen)))


@router.get("/runs/{run}/plan/part")
async def show_approved_part(request: Request, run: str, visitor: SignedIn) -> Response:
    """What an approval that counts already leaves out."""
    head = await head_of(console_of(request), run, visitor)
    left_out = head.deciding.left_out
    if head.deciding.part is None:
        raise HTTPException(404, f"No approval of run {run} leaves anything out.")
    answer = SubsetAnswer(
        run=run,
        plan_digest=head.plan.plan_digest,
        subset_root=head.deciding.part,
        approved=head.plan.changes - len(left_out),
        left_out=left_out,
    )
    return await _part(request, visitor, head, answer, chosen=())


async def _part(
    request: Request, visitor: Visitor, head: PlanHead, answer: SubsetAnswer, *, chosen: tuple[str, ...]
) -> Response:
    plans = console_of(request).records.plans
    first = [*answer.because, *(one for one in answer.left_out if one not in answer.because)]
    rows = [found for one in first[:PART_ROWS] if (found := await plans.change(head.run, one)) is not None]
    by_id = {one.change_id: one for one in rows}
    for one in sorted({*answer.because.values()} - by_id.keys())[:PART_ROWS]:
        if (found := await plans.change(head.run, one)) is not None:
            by_id[one] = found
    return page(
        request,
        "plan_part.html",
        visitor=visitor,
        head=head,
        answer=answer,
        rows=rows,
        by_id=by_id,
        chosen=chosen,
        visible_fields=visible_fields,
    )


async def _ids_of_group(request: Request, head: PlanHead, group: str) -> list[str]:
    """The changes of a group that a button names, as `class:suspend`."""
    by, _, name = group.partition(":")
    names = {"class": "change_class", "cohort": "cohort", "entity": "entity", "alike": "alike"}
    if by not in names or not name:
        raise HTTPException(422, "There is no such group.")
    wanted = ChangesQuery.model_validate({names[by]: name})
    found, total = await changes_of(console_of(request), head, wanted, offset=0, limit=DEFERRED_MAX)
    check_number(total)
    return [one.change_id for one in found]


def _chosen(form: FormData) -> tuple[str, ...]:
    """What is to be left out: kept from earlier pages, and as this one's boxes say."""
    kept = {*ids_in(_text(form, "left_out"))}
    shown = {*ids_in(_text(form, "shown"))}
    ticked = {*ids_in(" ".join(one for one in form.getlist("leave_out") if isinstance(one, str)))}
    return tuple(sorted((kept - shown) | ticked))


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


# --- one change -----------------------------------------------------------------------------------------------------


@router.get("/runs/{run}/plan/changes/{change_id}")
async def show_change(request: Request, run: str, change_id: str, visitor: SignedIn) -> Response:
    """One change, masked, with what became of the record in other runs and the form to see its personal values."""
    console = console_of(request)
    head = await head_of(console, run, visitor)
    change = await _change(request, run, change_id)
    history = await console.records.plans.changes_of_record(change.record, limit=HISTORY_ROWS) if change.record else ()
    return page(
        request,
        "plan_change.html",
        visitor=visitor,
        head=head,
        change=change,
        history=[one for one in history if (one.run, one.change.change_id) != (run, change_id)],
        may_reveal=visitor.has("operator", "approver", "steward", "auditor"),
        visible_fields=lambda one: (len(one.fields), 0),
    )


@router.post("/runs/{run}/plan/changes/{change_id}/reveal")
async def reveal(
    request: Request,
    run: str,
    change_id: str,
    visitor: Revealer,
    reason: Annotated[str, Form(max_length=4_000)] = "",
) -> Response:
    """The personal values of one change, after the auditor stored who asked and why."""
    head = await head_of(console_of(request), run, visitor)
    await _change(request, run, change_id)
    revealed = await plan_api.revealed_change(request, visitor, reveal_body(run, change_id, reason))
    # Shown as the answer to the form itself: no address leads here, so no history and no log can hold the values.
    return page(
        request, "plan_revealed.html", visitor=visitor, head=head, revealed=revealed, reason=reason.strip()
    )  # fmt: skip


def reveal_body(run: str, change_id: str, reason: str) -> RevealChange:
    """The question to the auditor; `CommandFailed` for a reason that says nothing."""
    length = len(reason.strip())
    if not REASON_CHARACTERS_MIN <= length <= REASON_CHARACTERS_MAX:
        raise CommandFailed(
            f"the reason has {length} characters, allowed {REASON_CHARACTERS_MIN} to {REASON_CHARACTERS_MAX}; "
            "nothing was shown",
            action="Go back and say in a sentence what the values are needed for.",
        )
    return RevealChange(run=run, change_id=change_id, reason=reason.strip())


async def _change(request: Request, run: str, change_id: str) -> ChangeView:
    change = await console_of(request).records.plans.change(run, change_id)
    if change is None:
        raise HTTPException(404, f"The plan of run {run} holds no such change.")
    return change
