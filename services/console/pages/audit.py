"""Audit: the log searched, one entry proven, the whole log verified, parts of it taken along.

Entries hold no personal value, so whoever is signed in may read them; verifying and taking parts along is for auditors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, HTTPException, Path, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from pydantic import ValidationError

from services.console import charts
from services.console.live import Rendered
from services.console.log.exporting import ENTRIES_MAX, exported
from services.console.log.proof import EntryProof, told
from services.console.log.verifying import Verification
from services.console.pages.answers import errors
from services.console.pages.audit_view import (
    EntriesPage,
    LogHealth,
    Wanted,
    entries_page,
    moments_of,
    type_words,
    value_words,
    verdict_of,
)
from services.console.rendering import page
from services.console.streaming import live_answer
from services.console.visiting import AuditReader, SignedIn, Visitor, console_of
from shared.audit.bundle import InclusionBundle
from shared.audit.checkpoint import CheckpointError
from shared.audit.entries import AuditEntry
from shared.audit.stored_tree import RecordAltered
from shared.events.registry import EVENTS
from shared.hashing.canonical import INTEGER_MAX
from shared.ids import is_run_id

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["audit"])

ROWS: Final = 50
DAYS: Final = 30
TYPES: Final = tuple(sorted(EVENTS))
TOPIC: Final = "verifying"
Index = Annotated[int, Path(ge=0, le=INTEGER_MAX)]
Before = Annotated[int | None, Query(ge=0, le=INTEGER_MAX)]
Text = Annotated[str, Query(max_length=100)]


def _wanted(
    type: Text = "",
    run: Text = "",
    actor: Text = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    text: Text = "",
) -> Wanted:
    return wanted_of(type=type, run=run, actor=actor, since=since, until=until, text=text)


def wanted_of(**given: str) -> Wanted:
    """What a form or an address asks for; 422 for a day that is none, or a range that ends before it begins."""
    trimmed: dict[str, Any] = {name: value.strip() or None for name, value in given.items()}
    for name in ("since", "until"):
        if trimmed.get(name) is not None:
            trimmed[name] = _day(name, trimmed[name])
    wanted = Wanted.model_validate(trimmed)
    if wanted.since is not None and wanted.until is not None and wanted.until < wanted.since:
        raise HTTPException(422, f"until: {wanted.until} is before since, {wanted.since}. Swap the two days.")
    return wanted


def _day(name: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise HTTPException(422, f"{name}: {text!r} is no day. Write it as 2026-08-31.") from None
    if not 1970 <= day.year <= 9000:
        raise HTTPException(422, f"{name}: the year {day.year} is out of range. Take one from 1970 to 9000.")
    return day


Asked = Annotated[Wanted, Depends(_wanted)]


@router.get("/audit")
async def log(request: Request, visitor: SignedIn, wanted: Asked, before: Before = None) -> Response:
    """Head, search and a part of what was found."""
    console = console_of(request)
    found = await _found(console, wanted, before)
    is_front = wanted.is_empty and before is None
    days = await console.entry_days.newest(DAYS, now=console.clock.now()) if is_front else ()
    chart = charts.columns(
        [
            charts.Column(day.day.strftime("%d %b"), (charts.Part("info", "entries", day.entries),))
            for day in days
        ],
        title="Entries per day",
        description=f"Entries that the audit log got on each of the last {DAYS} days.",
    )  # fmt: skip
    return page(
        request,
        "audit.html",
        visitor=visitor,
        found=found,
        wanted=wanted,
        before=before,
        types=[(each, type_words(each)) for each in TYPES],
        health=await _health(console),
        chart=chart if days else None,
        days=[day for day in reversed(days) if day.entries],
        verification=console.verifying.now,
        may_verify=visitor.has("auditor", "admin"),
        entries_max=ENTRIES_MAX,
    )


@router.get("/audit/lag")
async def lag(request: Request, visitor: SignedIn) -> Response:
    """How far the record is behind the bus, as the auditor says now."""
    health = await _asked_health(console_of(request), visitor)
    return page(request, "audit_lag.html", visitor=visitor, health=health)


@router.get("/audit/verification")
async def verification(request: Request, visitor: SignedIn) -> Response:
    """How far the verification of the whole log is, or what it came to."""
    console = console_of(request)
    now = console.verifying.now
    return page(
        request,
        "audit_verification.html",
        visitor=visitor,
        now_verifying=now,
        verdict=verdict_of(now),
        may_verify=visitor.has("auditor", "admin"),
        verifier_key=console.acting.verifier_key(),
    )


@router.post("/audit/verify")
async def verify(request: Request, visitor: AuditReader) -> Response:
    """Begin to verify the whole log; one that runs goes on."""
    _start(console_of(request), visitor)
    return RedirectResponse("/audit/verification", status_code=303)


@router.post("/audit/export")
async def export(
    request: Request,
    visitor: AuditReader,
    run: Annotated[str, Form(max_length=100)] = "",
    since: Annotated[str, Form(max_length=10)] = "",
    until: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Entries of a run, or of a range of days, as JSON Lines; recorded first."""
    console = console_of(request)
    wanted = wanted_of(run=run, since=since, until=until)
    if wanted.is_empty:
        raise HTTPException(422, "export: name a run, or the days from when or until when. Nothing was exported.")
    if wanted.run is not None and not is_run_id(wanted.run):
        raise HTTPException(422, "run: this is no id of a run. Copy it from the run's page, as 20260831T050000-abc123.")
    await console.telling.tell(
        "exported",
        actor=visitor,
        subject=wanted.run or "audit log",
        what_was_taken="entries of the audit log",
        since=str(wanted.since or ""),
        until=str(wanted.until or ""),
    )
    begins, ends = moments_of(wanted, console.templates.zone)
    lines = exported(console.records.engine, run=wanted.run, since=begins, until=ends)
    return _download(lines, f"audit-{wanted.run or 'days'}.jsonl", "application/x-ndjson")


@router.get("/audit/{index}")
async def entry(request: Request, visitor: SignedIn, index: Index) -> Response:
    """One entry with its proof, computed and checked now."""
    console = console_of(request)
    found, bundle, proof, fault = await _proven(console, index)
    return page(
        request,
        "audit_entry.html",
        visitor=visitor,
        entry=found,
        name=type_words(found.type),
        summary=[(name, value_words(value)) for name, value in found.summary.items()],
        leaf=found.leaf_hash().hex(),
        canonical=found.leaf_bytes().decode(),
        proof=proof,
        fault=fault,
        is_covered=bundle is not None,
        size=await console.records.lookups.size(),
    )


@router.post("/audit/{index}/proof")
async def proof(request: Request, visitor: SignedIn, index: Index) -> Response:
    """The proof of one entry as a file that verifies anywhere; recorded first."""
    bundle = await _taken_along(console_of(request), visitor, index)

    async def document() -> AsyncIterator[bytes]:
        yield bundle.model_dump_json(indent=2).encode() + b"\n"

    return _download(document(), f"audit-entry-{index}.json", "application/json")


@router.get("/live/audit/verification")
async def watch(request: Request, visitor: SignedIn) -> Response:
    """The progress of the verification, live."""
    return live_answer(request, TOPIC, seen={})


def live(console: Console) -> None:
    """Say what the live page of the verification shows."""

    async def render(_: str) -> Rendered:
        now = console.verifying.now
        rendered = console.templates.render("_verification.html", now_verifying=now, verdict=verdict_of(now))
        return {"verification": rendered}

    console.live.renders(TOPIC, render)


@api.get("/audit/entries", responses=errors(422))
async def entries_as_json(request: Request, visitor: SignedIn, wanted: Asked, before: Before = None) -> EntriesPage:
    """Entries of the audit log, newest first; `goes_on` is the `before` of the next part."""
    return await _found(console_of(request), wanted, before)


@api.get("/audit/entries/{index}", responses=errors(404, 422))
async def entry_as_json(request: Request, visitor: SignedIn, index: Index) -> AuditEntry:
    """One entry, whole."""
    return await _entry(console_of(request), index)


@api.get("/audit/entries/{index}/proof", responses=errors(404, 409, 422))
async def proof_as_json(request: Request, visitor: SignedIn, index: Index) -> InclusionBundle:
    """The proof of one entry, checked, as a bundle that verifies anywhere; that it was taken is recorded."""
    return await _taken_along(console_of(request), visitor, index)


@api.get("/audit/health", responses=errors(403, 409))
async def health_as_json(request: Request, visitor: SignedIn) -> LogHealth:
    """How the log stands, with its lag behind the bus."""
    return await _asked_health(console_of(request), visitor)


@api.get("/audit/verification", responses=errors())
async def verification_as_json(request: Request, visitor: SignedIn) -> Verification:
    """How far the verification is, or what it came to."""
    return console_of(request).verifying.now


@api.post("/audit/verify", status_code=202, responses=errors(403, 409))
async def verify_as_json(request: Request, visitor: AuditReader) -> Verification:
    """Begin to verify the whole log; one that runs goes on. Ask /audit/verification for how far it is."""
    console = console_of(request)
    _start(console, visitor)
    return console.verifying.now


async def _found(console: Console, wanted: Wanted, before: int | None) -> EntriesPage:
    since, until = moments_of(wanted, console.templates.zone)
    found = await console.records.entries.search_entries(
        type=wanted.type,
        run=wanted.run,
        actor=wanted.actor,
        since=since,
        until=until,
        text=wanted.text,
        before=before,
        limit=ROWS,
    )
    return entries_page(found)


async def _entry(console: Console, index: int) -> AuditEntry:
    try:
        found = await console.records.entries.entry(index)
    except ValidationError:
        raise HTTPException(500, f"Entry {index} cannot be read as an entry; verify the whole log.") from None
    if found is None:
        raise HTTPException(404, f"There is no entry {index}: the log has {await console.records.lookups.size():,}.")
    return found


async def _proven(
    console: Console, index: int
) -> tuple[AuditEntry, InclusionBundle | None, EntryProof | None, str | None]:
    """The entry, its bundle, the proof told in steps; instead of the proof why there is none."""
    found = await _entry(console, index)
    key = console.acting.verifier_key()
    if key is None:
        return found, None, None, "No verifier key was handed over with the profiles, so nothing can be proven here."
    try:
        bundle = await console.records.entries.inclusion(index, verifier_key=key)
        if bundle is None:
            return found, None, None, "No checkpoint covers this entry yet; the next one does, within moments."
        return found, bundle, told(bundle, key), None
    except (RecordAltered, CheckpointError, ValueError) as error:
        return found, None, None, f"The proof fails: {error}."


async def _taken_along(console: Console, visitor: Visitor, index: int) -> InclusionBundle:
    _, bundle, _, fault = await _proven(console, index)
    if bundle is None:
        raise HTTPException(409, fault or "There is no proof of this entry.")
    await console.telling.tell(
        "exported", actor=visitor, subject="audit log", what_was_taken="proof of an entry", entry=str(index)
    )
    return bundle


async def _health(console: Console) -> LogHealth:
    lookups, entries = console.records.lookups, console.records.entries
    size, signed = await lookups.size(), await lookups.signed_size()
    newest = await entries.entry(size - 1) if size else None
    covered = await entries.entry(signed - 1) if signed else None
    return LogHealth(
        entries=size,
        signed=signed,
        checkpoints=await lookups.checkpoints_total(),
        signed_up_to=None if covered is None else covered.recorded_at,
        newest_at=None if newest is None else newest.recorded_at,
    )


async def _asked_health(console: Console, visitor: Visitor) -> LogHealth:
    async with console.acting.as_person(visitor) as person:
        answer = await person.health()
    return (await _health(console)).model_copy(update={"lag": answer.lag})


def _start(console: Console, visitor: Visitor) -> None:
    key = console.acting.verifier_key()
    if key is None:
        text = "No verifier key was handed over with the profiles. Put it into a profile, as `verifier_key`."
        raise HTTPException(409, text)
    console.verifying.start(verifier_key=key, asked_by=visitor.user)


def _download(lines: AsyncIterator[bytes], name: str, kind: str) -> Response:
    return StreamingResponse(lines, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})
