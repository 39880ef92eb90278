"""How answers look to a person: rich tables and plain lines from documents. Pure; it prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from shared.audit.verify import VerificationReport
from shared.events.queries import (
    ChangeView,
    DecisionView,
    PlanAnswer,
    RefusalView,
    RunAnswer,
    RunView,
    SnapshotView,
)
from shared.failures import CATALOGUE
from shared.policy.guard import Level, VerdictLine
from shared.run.retries import may_hold_retries
from shared.run.states import RunStatus

FAILURES_SHOWN_MAX = 5
_PLAN_IS_GONE = frozenset({"APL_PLAN_ALTERED", "APL_VERDICT_DIFFERS"})
ID_DIGITS = 12
"""Digits of a change id that are shown: enough to name the change in `aether approve --except`."""
UNMAPPED_SHOWN_MAX = 20


def runs_table(runs: Sequence[RunView], *, options: str = "") -> RenderableType:
    """A line for each run."""
    if not runs:
        return f"No run yet. Ask for one: aether run CONNECTOR --dry-run{options}"
    table = _table("run", "connector", "mode", "status", "changes", "requested by", "requested at", "sealed")
    for run in runs:
        changes = str(run.plan.changes) if run.plan is not None else "-"
        table.add_row(
            run.run,
            f"{run.connector} {run.connector_version}",
            run.mode,
            run.status,
            changes,
            run.requester or "nobody known",
            run.requested_at,
            "yes" if run.is_sealed else "no",
        )
    return table


def run_lines(answer: RunAnswer, *, options: str = "") -> list[RenderableType]:
    """All that matters about one run, worst first where there is an order."""
    view = answer.run
    if view is None:
        return []
    lines: list[RenderableType] = [_facts(view, answer)]
    if view.failure is not None:
        entry = CATALOGUE.get(view.failure.code)
        lines.append(f"{view.failure.code}: {view.failure.text}")
        if entry is not None:
            lines.append(f"  what to do: {entry.action}")
    lines += _verdict_lines(answer.verdict)
    if view.plan is not None:
        lines.append(_numbers("changes by class", view.plan.changes_by_class))
        lines += _left_out_lines(answer.left_out)
    lines += [_snapshot_line(snapshot) for snapshot in answer.snapshots]
    for snapshot in answer.snapshots:
        lines += [f"  unmapped {text}" for text in snapshot.unmapped[:UNMAPPED_SHOWN_MAX]]
    if view.counts is not None:
        lines.append(_numbers(f"of {view.counts.planned} planned", view.counts.model_dump(exclude={"planned"})))
    if answer.counts_by_code:
        lines.append(_numbers("by code", answer.counts_by_code))
    lines += [_decision_line(decision) for decision in answer.decisions]
    lines += [_refusal_line(refusal) for refusal in answer.refusals]
    lines += [f"dead letter {letter.subject}: {letter.code}: {letter.reason}" for letter in answer.dead_letters]
    lines += next_steps(view, options=options)
    return lines


def next_steps(view: RunView, *, options: str = "") -> list[str]:
    """The very commands that a person may give next."""
    status, plan = RunStatus(view.status), view.plan
    if plan is not None and status in (RunStatus.AWAITING_APPROVAL, RunStatus.HELD):
        override = " --override" if status is RunStatus.HELD else ""
        missing = max(plan.approvals_needed - len(view.approvers), 0)
        people = "one approver" if missing == 1 else f"{missing} approvers"
        return [
            f"Review:  aether plan {view.run}{options}",
            f"Approve ({people}, not {view.requester}; until {plan.expires_at}):",
            f"  aether approve {view.run} --digest {plan.plan_digest}{override} --reason '…'"
            f" --profile approver{options}",
        ]
    if status is RunStatus.PAUSED:
        go_on = f'aether resume {view.run} --reason "…"{options}'
        return [*_hindrance_lines(view), f"{'Look again' if view.asked_to_end_by else 'Go on'}:  {go_on}"]
    if view.asked_to_end_by is not None or view.asked_to_pause_by is not None:
        what = "end" if view.asked_to_end_by is not None else "pause"
        return [f"It was asked by {view.asked_to_end_by or view.asked_to_pause_by} to {what} at its next change."]
    if status in (RunStatus.PARTIAL, RunStatus.FAILED) and may_hold_retries(view.counts):
        return (
            [
                f"Try again what failed (until {plan.expires_at}, while nothing else is applied to the target):",
                f'  aether retry {view.run} --reason "…"{options}',
            ]
            if plan is not None
            else []
        )
    if status is RunStatus.PLANNED:
        return [f"Review:  aether plan {view.run}{options}", f"Apply:   aether run {view.connector} --apply{options}"]
    return []


def _hindrance_lines(view: RunView) -> list[str]:
    """Why a paused run that was asked to end has not: what is missing, and who can act."""
    if view.asked_to_end_by is None:
        return []
    unknown = view.counts.unknown if view.counts is not None else None
    of_which = "outcomes" if unknown is None else f"{unknown} outcomes"
    entry = CATALOGUE.get(view.failure.code) if view.failure is not None else None
    lines = [f"Asked to end by {view.asked_to_end_by}; it cannot end while {of_which} are unknown."]
    if entry is not None and entry.code in _PLAN_IS_GONE:
        lines.append(
            "Its plan cannot be verified any more, so nobody can look them up for it: the run stays paused until the "
            f"approved plan is restored on the bus. Who acts: {entry.owner}. Until then no other run of "
            f"{view.connector} begins; look at those records at the target by hand."
        )
    elif entry is not None:
        lines.append(f"They are looked up when the cause above is mended. Who acts: {entry.owner}.")
    return lines


def plan_lines(answer: PlanAnswer, *, change_class: str | None = None) -> list[RenderableType]:
    """A plan's head and the changes given, field by field; `change_class` is the one that was asked for."""
    plan = answer.plan
    if plan is None:
        return []
    lines: list[RenderableType] = [
        f"Plan of run {answer.run}",
        f"  digest   {plan.plan_digest}",
        f"  content  {plan.content_digest}",
        f"  verdict  {plan.verdict_level}, {plan.approvals_needed} approval(s) needed, expires {plan.expires_at}",
        *_verdict_lines(answer.verdict),
        _numbers("changes by class", plan.changes_by_class),
        *_left_out_lines(answer.left_out),
    ]
    if answer.excluded:
        lines.append(f"{answer.excluded} set aside by the plan; they are never carried out")
    if change_class is not None and answer.total == 0:
        lines.append(f"It has no change of class {change_class}.")
    if answer.changes:
        lines.append(changes_table(answer.changes))
    if len(answer.changes) < answer.total:
        lines.append(f"{len(answer.changes)} of {answer.total} shown; --limit N or --all shows more")
    return lines


def changes_table(changes: Iterable[ChangeView]) -> Table:
    """A line for each changed field."""
    table = _table("class", "key", "field", "was", "now", "cause", "change", "outcome")
    for change in changes:
        # A mark tells of an earlier run, an outcome of this one: who sees the outcome needs the mark no more.
        outcome = " ".join(part for part in (change.result, change.code) if part) or ", ".join(
            f"{mark} before" for mark in change.marks
        )
        head = (change.change_class, f"{change.entity}/{change.key}")
        if not change.fields:
            table.add_row(*head, "", "", "", "", change.change_id[:ID_DIGITS], outcome)
        for number, field in enumerate(change.fields):
            first = (*head,) if number == 0 else ("", "")
            last = (change.change_id[:ID_DIGITS], outcome) if number == 0 else ("", "")
            table.add_row(*first, field.name, _value(field.before), _value(field.after), field.cause, *last)
    return table


def verification_lines(report: VerificationReport) -> list[str]:
    """What was proven and how far, what failed, and what nothing proves."""
    lines = [
        f"entries      {report.entries}, of which {report.entries_proven} under a signed checkpoint",
        f"checkpoints  {report.checkpoints}",
        f"runs sealed  {report.runs_sealed}",
    ]
    last = report.last_proven
    if last is None:
        lines.append("proven       nothing")
    else:
        lines += [
            f"proven       up to entry {last.index}, of {last.recorded_at}",
            f"size, root   {last.size}, {last.root}",
            "             compare with a checkpoint that was kept apart: what was cut off behind it shows only there",
        ]
    if not report.is_valid:
        lines.append(f"THE LOG DOES NOT HOLD: {report.failures_total} fault(s)")
        shown = report.failures[:FAILURES_SHOWN_MAX]
        lines += [f"  {failure.kind}: {failure.reason}" for failure in shown]
        if report.failures_total > len(shown):
            lines.append(f"  … and {report.failures_total - len(shown)} more that are not shown")
    if report.entries_proven < report.entries:
        first, newest = report.entries_proven, report.entries - 1
        which = f"entry {first} is" if first == newest else f"entries {first} to {newest} are"
        lines.append(f"NOT PROVEN: {which} under no signature")
    elif report.is_valid:
        lines.append("The log holds.")
    return lines


def plain_table(*columns: str, rows: Iterable[Sequence[str]]) -> Table:
    """A table of texts, none of which is markup."""
    table = _table(*columns)
    for row in rows:
        table.add_row(*row)
    return table


class _PlainTable(Table):
    """A table whose cells are never read as markup: values may hold brackets."""

    def add_row(self, *cells: RenderableType | None, **options: object) -> None:
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        super().add_row(*texts)


def _table(*columns: str) -> Table:
    table = _PlainTable(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _facts(view: RunView, answer: RunAnswer) -> RenderableType:
    seconds = {phase.status.value: phase.at for phase in answer.phases}
    rows = [
        ("run", view.run),
        ("connector", f"{view.connector} {view.connector_version}"),
        ("mode", view.mode),
        ("status", view.status),
        *([("retry of", view.retry_of)] if view.retry_of is not None else []),
        ("requested", f"by {view.requester or 'nobody known'} at {view.requested_at}"),
        ("changed", view.changed_at),
    ]
    if view.plan is not None:
        rows.append(("verdict", view.plan.verdict_level))
        rows.append(("digest", view.plan.plan_digest))
    if view.approvers:
        rows.append(("approved by", ", ".join(view.approvers)))
    if seconds:
        rows.append(("way", " → ".join(seconds)))
    rows.append(("sealed", "yes" if view.is_sealed else "not yet"))
    table = _PlainTable(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _verdict_lines(lines: Iterable[VerdictLine]) -> list[str]:
    return [f"{line.level.value:<5} {line.text}" for line in lines if line.level is not Level.PASS]


def _left_out_lines(left_out: Mapping[str, int]) -> list[str]:
    """What was found and is not done, by reason: DIF_FIRST_MISS reads "first miss"."""
    told = ", ".join(f"{number} {_reason(code)}" for code, number in left_out.items() if number)
    return [f"left out: {told}"] if told else []


def _reason(code: str) -> str:
    return code.partition("_")[2].replace("_", " ").lower()


def _snapshot_line(snapshot: SnapshotView) -> str:
    rows = ", ".join(f"{name} {number}" for name, number in snapshot.rows.items()) or "no row"
    state = "certified" if snapshot.is_certified else "NOT CERTIFIED"
    if snapshot.incomplete is not None:
        state += f" ({snapshot.incomplete.code}: {snapshot.incomplete.text})"
    quarantined = f", {_quarantine(snapshot)}" if snapshot.quarantined else ""
    return (
        f"{snapshot.side} {snapshot.entity}: {state}; rows {rows}; {snapshot.records} records{quarantined}; "
        f"{snapshot.seconds:.1f} s"
    )


_DONE = {
    "approve": "approved",
    "reject": "rejected",
    "cancel": "cancel asked",
    "pause": "pause asked",
    "resume": "resumed",
    "retry": "retry asked",
}


def _decision_line(decision: DecisionView) -> str:
    override = ", with override" if decision.is_override else ""
    part = f", all but {decision.left_out:,}" if decision.left_out else ""
    reason = f": {_printable(decision.reason)}" if decision.reason else ""
    return f"{_DONE[decision.decision]} by {decision.person} at {decision.at}{override}{part}{reason}"


def _printable(text: str) -> str:
    """Typed text without what would steer a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _refusal_line(refusal: RefusalView) -> str:
    who = f" to {refusal.person}" if refusal.person is not None else ""
    return f"refused {refusal.what}{who} at {refusal.at}: {refusal.code}: {_printable(refusal.text)}"


def _quarantine(snapshot: SnapshotView) -> str:
    """How many records wait, and why: one record may have several reasons."""
    by_code = snapshot.quarantined_by_code
    reasons, records = sum(by_code.values()), snapshot.quarantined
    codes = ", ".join(f"{name} {number}" for name, number in by_code.items())
    text = f"{records} {'record' if records == 1 else 'records'} in quarantine"
    if not reasons:
        return text
    return f"{text} for {reasons} {'reason' if reasons == 1 else 'reasons'} ({codes})"


def _numbers(title: str, numbers: dict[str, int]) -> str:
    shown = ", ".join(f"{name} {number}" for name, number in numbers.items() if number)
    return f"{title}: {shown or 'none'}"


def _value(text: str | None) -> str:
    return "(empty)" if text is None else text
