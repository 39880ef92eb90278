"""Verbs about plans: plan, approve, reject."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from cli.choosing import Part, chosen_part, part_lines, words_in
from cli.options import (
    WATCH_SECONDS_DEFAULT,
    DataOption,
    JsonOption,
    ProfileOption,
    ReasonOption,
    RunArgument,
    Session,
    TimeoutOption,
    session_of,
)
from cli.problem import EXIT_USAGE, CommandFailed
from cli.verbs.runs import finish, known

if TYPE_CHECKING:
    from shared.asking.client import PersonClient
    from shared.asking.deciding import Decision
    from shared.events.commands import Reply
    from shared.events.queries import PlanAnswer
    from shared.run.state import PlanSummary

DigestOption = Annotated[
    str, typer.Option("--digest", help="The plan's digest as reviewed, or its first 12 or more hexadecimal digits.")
]
ExceptOption = Annotated[
    str | None,
    typer.Option(
        "--except",
        metavar="CHANGE[,CHANGE…]",
        help="Leave these changes out: ids, or their first 12 or more digits. What builds on them goes along.",
    ),
]
OnlyClassOption = Annotated[
    str | None,
    typer.Option("--only-class", metavar="CLASS[,CLASS…]", help="Leave out every change of another class."),
]
EXIT_CHANGES_PENDING = 2
PAGE_CHANGES = 200
CHANGES_SHOWN_DEFAULT = 50


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command("plan")(plan)
    app.command("approve")(approve)
    app.command("reject")(reject)


def plan(
    context: typer.Context,
    run_id: RunArgument,
    change_class: Annotated[str | None, typer.Option("--class", help="Only changes of this class.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Changes to show.")] = CHANGES_SHOWN_DEFAULT,
    is_all: Annotated[bool, typer.Option("--all", help="Show every change.")] = False,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Show a run's plan, field by field; personal values are masked."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(_plan(session, run_id, change_class=change_class, limit=None if is_all else limit))


async def _plan(session: Session, run_id: str, *, change_class: str | None, limit: int | None) -> int:
    from cli.output import show
    from cli.rendering import plan_lines
    from shared.asking.client import connected
    from shared.asking.profiles import load_profile

    async with connected(load_profile(session.data, session.profile)) as client:
        answer = await read_plan(client, run_id, session, change_class=change_class, limit=limit)
    if change_class is not None and answer.plan is not None and answer.total == 0:
        check_class(change_class, answer.plan.changes_by_class, run=run_id)
    show(answer.model_dump(mode="json"), plan_lines(answer, change_class=change_class), is_json=session.is_json)
    return 0


def check_class(name: str, changes_by_class: Mapping[str, int], *, run: str) -> None:
    """`CommandFailed` for a word that is no class of change; a class that this plan lacks is a fair question."""
    from shared.plan.change import ChangeClass

    if name in {each.value for each in ChangeClass}:
        return
    present = ", ".join(f"{known} ({number})" for known, number in sorted(changes_by_class.items()) if number)
    raise CommandFailed(
        f"--class {name}: there is no such class of change",
        action=f"The plan of run {run} has: {present or 'no change at all'}.",
        exit_code=EXIT_USAGE,
    )


async def read_plan(
    client: PersonClient, run_id: str, session: Session, *, change_class: str | None, limit: int | None
) -> PlanAnswer:
    """The plan with up to `limit` changes (None: all), read page by page; `CommandFailed` when there is none."""
    from shared.events.queries import ChangeView, PlanQuery

    changes: list[ChangeView] = []
    while True:  # bounded by the total that each answer states
        wanted = PAGE_CHANGES if limit is None else min(PAGE_CHANGES, limit - len(changes))
        question = PlanQuery(run=run_id, change_class=change_class, offset=len(changes), limit=wanted)
        answer = await client.plan(question)
        if answer.plan is None:
            state = known(await client.run(run_id), run_id, session).run
            raise CommandFailed(
                f"run {run_id} has no plan: it is {state.status if state is not None else 'unknown'}",
                action=f"Look at the run: aether show {run_id}{session.as_options}",
                code="APV_WRONG_STATE",
            )
        changes += answer.changes
        is_enough = limit is not None and len(changes) >= limit
        if not answer.changes or len(changes) >= answer.total or is_enough:
            return answer.model_copy(update={"changes": tuple(changes)})


def approve(
    context: typer.Context,
    run_id: RunArgument,
    digest: DigestOption,
    reason: ReasonOption,
    override: Annotated[bool, typer.Option("--override", help="Release a plan that the guard holds.")] = False,
    leave_out: ExceptOption = None,
    only_class: OnlyClassOption = None,
    as_before: Annotated[
        bool, typer.Option("--as-before", help="Approve the same part as the approval that counts already.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay until the run ends or waits for a person.")] = False,
    timeout: TimeoutOption = WATCH_SECONDS_DEFAULT,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Approve the plan with this digest, or a part of it, signed with the profile's key; its requester cannot."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    part = Part(left_out=words_in(leave_out), only_classes=words_in(only_class), is_as_before=as_before)
    return asyncio.run(
        _decide(
            session,
            run_id,
            "approve",
            digest=digest,
            reason=reason,
            override=override,
            seconds_max=timeout if watch else None,
            part=part,
        )
    )


def reject(
    context: typer.Context,
    run_id: RunArgument,
    digest: DigestOption,
    reason: ReasonOption,
    data: DataOption = None,
    profile: ProfileOption = None,
    is_json: JsonOption = False,
) -> int:
    """Reject the plan with this digest; the run ends (exit code 6)."""
    session = session_of(context, data=data, profile=profile, is_json=is_json)
    return asyncio.run(
        _decide(session, run_id, "reject", digest=digest, reason=reason, override=False, seconds_max=None)
    )


async def _decide(
    session: Session,
    run_id: str,
    decision: Decision,
    *,
    digest: str,
    reason: str,
    override: bool,
    seconds_max: float | None,
    part: Part | None = None,
) -> int:
    from cli.output import console
    from shared.asking.client import connected
    from shared.asking.deciding import full_digest, signed_decision
    from shared.asking.profiles import load_profile
    from shared.clock import SystemClock
    from shared.events.commands import DecideRun
    from shared.ids import RandomIds
    from shared.policy.approval import ALL
    from shared.run.states import WAITING_FOR_A_PERSON, RunStatus
    from shared.secrets import resolve

    person = load_profile(session.data, session.profile)
    if person.approval_key is None:
        raise CommandFailed(
            f"profile {session.profile} has no approval key, so {person.user} cannot sign a decision",
            action="Ask a person with the role approver to decide, under their own profile.",
            code="APV_NOT_AUTHORISED",
        )
    async with connected(person) as client:
        before = known(await client.run(run_id), run_id, session)
        shown = await read_plan(client, run_id, session, change_class=None, limit=1)
        summary = shown.plan
        if summary is None:  # read_plan has raised already
            raise CommandFailed(
                f"run {run_id} has no plan", action=f"aether show {run_id}{session.as_options}", code="APV_WRONG_STATE"
            )
        full_digest(digest, shown=summary.plan_digest, run=run_id, options=session.as_options)
        chosen = None
        if part is not None and not part.is_all:

            async def of_class(name: str) -> PlanAnswer:
                return await read_plan(client, run_id, session, change_class=name, limit=None)

            chosen = await chosen_part(client, part, shown, of_class=of_class)
            for line in part_lines(chosen):
                console(is_error=True).print(line, soft_wrap=True, markup=False)
        signed = signed_decision(
            summary,
            run=run_id,
            decision=decision,
            approver=person.user,
            reason=reason,
            is_override=override,
            key_text=resolve(person.approval_key),
            now=SystemClock().now(),
            ids=RandomIds(),
            options=session.as_options,
            subset=ALL if chosen is None else chosen.subset_root or ALL,
            left_out=() if chosen is None else chosen.left_out,
        )
        command = DecideRun(signed=signed, deferred=() if chosen is None else chosen.left_out)
        reply = await (client.approve(command) if decision == "approve" else client.reject(command))
        if reply.status is not None and RunStatus(reply.status) in WAITING_FOR_A_PERSON:
            earlier = before.run.approvers if before.run is not None else ()
            return show_counted(
                session,
                reply,
                summary,
                run=run_id,
                approvers={*earlier, person.user},
                left_out=0 if chosen is None else len(chosen.left_out),
            )
        return await finish(client, session, reply, run=run_id, before=before, seconds_max=seconds_max)


def show_counted(
    session: Session,
    reply: Reply,
    plan: PlanSummary,
    *,
    run: str,
    approvers: Collection[str],
    left_out: int = 0,
) -> int:
    """Say that an approval counts and that more are needed: changes wait, whatever the guard said of the plan."""
    from cli.output import show

    options = (" --override" if plan.verdict_level == "HOLD" else "") + (" --as-before" if left_out else "")
    lines = [
        f"Your approval counts: {len(approvers)} of {plan.approvals_needed} ({', '.join(sorted(approvers))}).",
        f"Run {run} is {reply.status}; a further person must approve until {plan.expires_at}:",
        f"  aether approve {run} --digest {plan.plan_digest}{options} --reason '…' --profile …{session.as_options}",
    ]
    document = {
        **reply.model_dump(mode="json"),
        "approvals": len(approvers),
        "approvals_needed": plan.approvals_needed,
        "approve_until": plan.expires_at,
        "left_out": left_out,
        "exit_code": EXIT_CHANGES_PENDING,
    }
    show(document, lines, is_json=session.is_json)
    return EXIT_CHANGES_PENDING
