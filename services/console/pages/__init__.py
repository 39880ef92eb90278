"""The pages, one module a place: `router` has the pages, `api` the same as JSON, `live` says what live pages show."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from services.console.pages import (
    access,
    audit,
    connectors,
    data,
    helping,
    inbox,
    person,
    plan_review,
    quarantine,
    retention,
    run,
    runs,
    schedules,
    signing_in,
    systems,
)

PAGES: Final[tuple[ModuleType, ...]] = (
    signing_in,
    inbox,
    runs,
    plan_review,
    run,
    connectors,
    systems,
    quarantine,
    schedules,
    data,
    person,
    audit,
    retention,
    access,
    helping,
)
