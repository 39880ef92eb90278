"""The guard: whether a plan is safe enough to be shown for approval, and to be applied.

A pure function of figures, policy and history; the differ runs it before a plan is shown and the applier again before
the first write, and both must come to the same bytes. An exception inside it is a BLOCK. Every check gives a line
that holds number, limit, denominator and name; of cohorts, groups, fields and windows those that are not PASS and a
summary (`shared.policy.scopes`).
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.policy.declared import declared_lines
from shared.policy.figures import EntityFigures, GuardFigures, SourceFigures, UsualFigures
from shared.policy.limits import REMOVALS, Policy, uncovered_classes
from shared.policy.scopes import (
    Judged,
    cohort_lines,
    contradictions,
    field_lines,
    group_lines,
    judged,
    run_lines,
    window_lines,
)
from shared.policy.verdict import Level, Scope, Verdict, VerdictLine, limit_line, plain_line, worst

__all__ = ["CERTIFIED_RUNS_MIN", "Level", "Verdict", "VerdictLine", "guard"]

CERTIFIED_RUNS_MIN = 2
"""Certified runs there must have been before anything is removed."""


def guard(figures: GuardFigures, policy: Policy) -> Verdict:
    """The verdict over a plan's figures."""
    try:
        lines = tuple(_lines_of(figures, policy))
    except Exception as error:  # noqa: BLE001 -- whatever fails in here must block, not pass
        text = f"the guard failed with {type(error).__name__}; nothing may be applied"
        lines = (plain_line("guard", Scope("run"), Level.BLOCK, code="GRD_FAILED", text=text),)
    return Verdict(level=worst(line.level for line in lines), lines=lines, policy_digest=policy.digest)


def _lines_of(figures: GuardFigures, policy: Policy) -> Iterator[VerdictLine]:
    entities = [judged(one, policy) for one in figures.entities]
    uncovered = sorted({name for one in figures.entities for name in one.changes} & set(uncovered_classes(policy)))
    unknown = sorted({name for one in figures.entities for name in one.changes} - set(policy.classes))
    if uncovered or unknown:
        raise ValueError(f"no limit covers changes of class {', '.join([*uncovered, *unknown])}")
    for entity in entities:
        yield from _entity_lines(entity)
    yield from run_lines(entities, policy)


def _entity_lines(entity: Judged) -> Iterator[VerdictLine]:
    figures, policy = entity.figures, entity.policy
    for source in figures.sources:
        yield from _source_lines(figures, source, policy)
    yield _target_line(figures)
    yield from _contradiction_lines(figures)
    yield _removals_line(figures)
    yield from declared_lines(figures)
    yield from _class_lines(entity)
    # A change of class null_out is one that empties a value, so what is declared of it is out of this number too.
    emptied = max(0, figures.null_outs - entity.coverage.covered.get("null_out", 0))
    yield limit_line(
        "value_emptied",
        _scope_of(figures, "value_emptied"),
        number=emptied,
        denominator=entity.denominator,
        limit=policy.null_out,
    )
    read = figures.desired + figures.quarantined
    yield limit_line(
        "quarantined",
        _scope_of(figures, "quarantined"),
        number=figures.quarantined,
        denominator=read,
        limit=policy.quarantine,
        code="GRD_QUARANTINE",
    )
    # These two of what is desired, not of what was read: more rows in quarantine would make the same number look less.
    yield limit_line(
        "unmapped",
        _scope_of(figures, "unmapped"),
        number=figures.unmapped,
        denominator=figures.desired,
        limit=policy.unmapped,
        code="GRD_QUARANTINE",
    )
    yield limit_line(
        "ambiguous",
        _scope_of(figures, "ambiguous"),
        number=figures.ambiguous,
        denominator=figures.desired,
        limit=policy.ambiguous,
        code="GRD_QUARANTINE",
    )
    yield from field_lines(entity)
    yield from cohort_lines(entity)
    yield from group_lines(entity)
    yield from window_lines(entity)


def _class_lines(entity: Judged) -> Iterator[VerdictLine]:
    for check, limit in entity.limits.items():
        number, scope = entity.numbers[check], _scope_of(entity.figures, check)
        if entity.is_unlimited(check):
            text = f"{check}: {number:,} {scope.name}, no limit: nothing was ever applied here (onboarding)"
            yield plain_line(check, scope, Level.PASS, number=number, denominator=entity.denominator, text=text)
        else:
            yield limit_line(check, scope, number=number, denominator=entity.denominator, limit=limit)


def _source_lines(entity: EntityFigures, source: SourceFigures, policy: Policy) -> Iterator[VerdictLine]:
    name = f"{entity.entity} from {source.source}"
    scope = Scope(name)
    if source.is_certified:
        yield plain_line("certificate", scope, Level.PASS, text=f"{name}: the read is certified complete")
    else:
        yield plain_line(
            "certificate",
            scope,
            Level.WARN,
            code="GRD_NO_CERTIFICATE",
            text=f"{name}: the read has no certificate; removals are left out of this plan",
        )
    rows, last = source.rows, source.rows_accepted_last
    if rows is None:
        return
    if rows == 0 and (last is None or last > 0):
        before = "no run was accepted before" if last is None else f"the last accepted run read {last:,}"
        yield plain_line(
            "source_zero",
            scope,
            Level.BLOCK,
            number=0,
            denominator=last,
            code="GRD_SOURCE_ZERO",
            text=f"{name}: 0 rows; {before}",
        )
        return
    if last is None or last == 0:
        text = f"{name}: {rows:,} rows; nothing to compare"
        yield plain_line("source_fell", scope, Level.PASS, number=rows, text=text)
        return
    for check, number, limit, code in (
        ("source_fell", max(0, last - rows), policy.source_fell, "GRD_SOURCE_FELL"),
        ("source_grew", max(0, rows - last), policy.source_grew, "GRD_SOURCE_GREW"),
    ):
        measured = Scope(name, usual=_usual_of(entity, check))
        yield limit_line(check, measured, number=number, denominator=last, limit=limit, code=code)


def _target_line(figures: EntityFigures) -> VerdictLine:
    scope = Scope(figures.entity)
    if figures.live_managed is None or not figures.is_target_certified:
        return plain_line(
            "target",
            scope,
            Level.BLOCK,
            code="GRD_TARGET_UNKNOWN",
            text=f"{figures.entity}: the target's present state is not certified, so no limit can be measured",
        )
    return plain_line(
        "target",
        scope,
        Level.PASS,
        number=figures.live_managed,
        text=f"{figures.entity}: {figures.live_managed:,} live managed records in the target",
    )


def _contradiction_lines(figures: EntityFigures) -> Iterator[VerdictLine]:
    found = list(contradictions(figures))
    if found:
        more = f"; and {len(found) - 1:,} more" if len(found) > 1 else ""
        yield plain_line(
            "figures",
            Scope(figures.entity),
            Level.BLOCK,
            code="GRD_FAILED",
            text=f"{figures.entity}: the figures contradict themselves, so nothing can be judged: {found[0]}{more}",
        )


def _removals_line(figures: EntityFigures) -> VerdictLine:
    """Whether there are removals that may not be in a plan at all; the comparison should have left them aside."""
    scope = Scope(figures.entity)
    number = sum(figures.changes.get(name, 0) for name in REMOVALS)
    told = f"{figures.entity}: {number:,} removals planned"
    if number > 0 and not all(source.is_certified for source in figures.sources):
        text = f"{told} while a source has no certificate; there must be none"
        return plain_line("removals", scope, Level.BLOCK, number=number, code="GRD_NO_CERTIFICATE", text=text)
    runs = figures.certified_runs
    if number > 0 and runs is not None and runs < CERTIFIED_RUNS_MIN:
        text = f"{told} after {runs} certified runs; there must be none before {CERTIFIED_RUNS_MIN}"
        return plain_line("removals", scope, Level.BLOCK, number=number, code="GRD_ONBOARDING", text=text)
    suppressed = f", {figures.removals_suppressed:,} left out" if figures.removals_suppressed else ""
    return plain_line("removals", scope, Level.PASS, number=number, text=told + suppressed)


def _scope_of(figures: EntityFigures, check: str) -> Scope:
    return Scope(figures.entity, usual=_usual_of(figures, check))


def _usual_of(figures: EntityFigures, check: str) -> UsualFigures | None:
    return next((one for one in figures.usual if one.check == check), None)
