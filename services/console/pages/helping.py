"""Help: what every failure code means, who acts and how; and the words of the house."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from services.console.pages.answers import errors
from services.console.pages.help_view import (
    Documents,
    FailureView,
    failure_views,
    glossary,
    missing_documents,
    phases,
)
from services.console.rendering import page
from services.console.visiting import SignedIn
from shared.failures import CATALOGUE
from shared.failures_document import RUNBOOKS

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["help"])

DOCUMENTS: Final = Path(__file__).resolve().parents[3] / "docs"
"""They stand beside the packages, in the repository as in an image."""
Text = Annotated[str, Query(max_length=100)]


class FailureList(BaseModel):
    """Every code of the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failures: tuple[FailureView, ...]


@router.get("/help")
async def show(request: Request, visitor: SignedIn, q: Text = "") -> HTMLResponse:
    """The page; a text finds codes and words, and each code is an anchor."""
    documents = await asyncio.to_thread(documents_in, DOCUMENTS)
    found = phases(failure_views(documents), text=q)
    return page(
        request,
        "help.html",
        visitor=visitor,
        q=q,
        phases=found,
        number=sum(len(phase.entries) for phase in found),
        total=len(CATALOGUE),
        words=glossary(documents, text=q),
        missing=missing_documents(documents),
    )


@api.get("/failures", responses=errors())
async def failures_as_json(_: SignedIn) -> FailureList:
    """Every code with what it means, who acts and its runbook."""
    return FailureList(failures=failure_views(await asyncio.to_thread(documents_in, DOCUMENTS)))


@lru_cache(maxsize=4)
def documents_in(folder: Path) -> Documents:
    """The documents of a folder; they are part of a release, so they are read once."""
    runbooks = {}
    for name in sorted(set(RUNBOOKS.values())):
        if (text := _text(folder / "runbooks" / f"{name}.md")) is not None:
            runbooks[name] = text
    return Documents(runbooks=runbooks, glossary=_text(folder / "glossary.md"))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None
