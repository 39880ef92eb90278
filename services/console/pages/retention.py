"""Retention: what the house keeps of people, where, for how long, and who takes it away."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from services.console.pages.answers import errors
from services.console.rendering import duration, page
from services.console.visiting import SignedIn
from shared.retention import RETENTION, Retention

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["retention"])


class Kept(BaseModel):
    """One stream or table."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    place: str
    """`stream NAME`, or `SERVICE.table`."""
    personal: str
    """What stands there of the people whose records are mirrored."""
    kept_seconds: int | None
    """None: without end."""
    kept: str
    """The same in words."""
    enforced_by: str
    because: str


class RetentionPage(BaseModel):
    """The policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept: tuple[Kept, ...]


@router.get("/retention")
async def show(request: Request, visitor: SignedIn) -> HTMLResponse:
    """The page."""
    return page(request, "retention.html", visitor=visitor, model=policy())


@api.get("/retention", responses=errors())
async def retention_as_json(_: SignedIn) -> RetentionPage:
    """What is kept, where and for how long."""
    return policy()


def policy() -> RetentionPage:
    """The policy as the pages show it: what holds values as they were read comes first."""
    order = ("plain", "masked", "commitments", "none")
    rows = sorted(RETENTION, key=lambda one: (order.index(one.personal), one.place))
    return RetentionPage(kept=tuple(_kept(one) for one in rows))


def _kept(one: Retention) -> Kept:
    return Kept(
        place=one.place,
        personal=one.personal,
        kept_seconds=one.kept_seconds,
        kept="without end" if one.kept_seconds is None else duration(one.kept_seconds),
        enforced_by=one.enforced_by,
        because=one.because,
    )
