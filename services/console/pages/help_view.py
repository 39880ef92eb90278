"""What the page of help shows: every code of the catalogue with its runbook, and the words of the house.

Pure. The documents are handed in as text; one that is missing is said to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from services.console.pages.plain_markdown import html, sections
from shared.failures import CATALOGUE, Failure
from shared.failures_document import PHASES, RUNBOOKS

KINDS: Mapping[str, str] = {"info": "info", "warning": "warn", "error": "bad", "critical": "bad"}
"""How a severity is marked."""


class FailureView(BaseModel):
    """One code of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    code: str
    phase: str
    severity: str
    category: str
    owner: str
    is_retryable: bool
    """Whether the same step may succeed later without anybody doing anything."""
    text: str
    action: str
    runbook: str | None
    """The section of the runbook, as it is written; None when it is not at hand."""


@dataclass(frozen=True)
class Entry:
    """One code with its runbook as HTML."""

    failure: FailureView
    kind: str
    runbook: Markup | None


@dataclass(frozen=True)
class Phase:
    """The codes of one step of the road."""

    name: str
    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Words:
    """One part of the glossary."""

    title: str
    html: Markup


@dataclass(frozen=True)
class Documents:
    """The texts that the page is made of."""

    runbooks: Mapping[str, str]
    """By the name of their page."""
    glossary: str | None


def failure_views(documents: Documents) -> tuple[FailureView, ...]:
    """Every code in the order of the catalogue."""
    written = _written(documents.runbooks)
    return tuple(
        FailureView(
            code=one.code,
            phase=_phase_of(one),
            severity=one.severity,
            category=one.category,
            owner=one.owner,
            is_retryable=one.is_retryable,
            text=one.text,
            action=one.action,
            runbook="\n".join(written[one.code]).strip() if one.code in written else None,
        )
        for one in CATALOGUE.values()
    )


def phases(views: tuple[FailureView, ...], *, text: str) -> tuple[Phase, ...]:
    """The codes by step of the road; only those in which every word of `text` stands, if it has any."""
    wanted = text.casefold().split()
    found = []
    for name, title in PHASES.items():
        entries = tuple(_entry(one) for one in views if one.phase == name and _holds(one, title, wanted))
        if entries:
            found.append(Phase(name, title, entries))
    return tuple(found)


def glossary(documents: Documents, *, text: str) -> tuple[Words, ...]:
    """The parts of the glossary; only rows in which every word of `text` stands."""
    if documents.glossary is None:
        return ()
    wanted = text.casefold().split()
    found = []
    for level, title, lines in sections(documents.glossary):
        table = [line for line in lines if line.startswith("|")]
        if level < 2 or len(table) < 3:
            continue
        rows = [line for line in table[2:] if all(word in line.casefold() for word in wanted)]
        if rows:
            found.append(Words(title, html([*table[:2], *rows], caption=f"Words: {title}")))
    return tuple(found)


def missing_documents(documents: Documents) -> tuple[str, ...]:
    """What is not at hand, so that a page can say so."""
    missing = [f"the runbook {name}" for name in sorted(set(RUNBOOKS.values())) if name not in documents.runbooks]
    return (*missing, "the glossary") if documents.glossary is None else tuple(missing)


def _entry(view: FailureView) -> Entry:
    return Entry(
        failure=view,
        kind=KINDS[view.severity],
        runbook=None if view.runbook is None else html(view.runbook.splitlines(), caption=view.code),
    )


def _holds(view: FailureView, title: str, wanted: list[str]) -> bool:
    place = " ".join(
        (view.code, title, view.category, view.owner, view.text, view.action, view.runbook or "")
    ).casefold()
    return all(word in place for word in wanted)


def _phase_of(failure: Failure) -> str:
    return failure.code.partition("_")[0]


def _written(runbooks: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The lines of every code's section."""
    return {
        title.strip("` "): lines for document in runbooks.values() for _, title, lines in sections(document)
        if title.strip("` ") in CATALOGUE
    }  # fmt: skip
