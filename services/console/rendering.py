"""Pages from templates: one environment, the filters that every page has, and what each page knows of its visitor."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from services.console.visiting import CSRF_FIELD, Visitor, console_of
from shared.clock import Clock, from_text

FOLDER: Final = Path(__file__).parent / "templates"
THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "aether_theme"
DIGEST_DIGITS_SHOWN: Final = 12
MINUTE, HOUR, DAY = 60, 3_600, 86_400
NOTHING: Final = Markup('<span class="muted">\N{EN DASH}</span>')

NAVIGATION: Final[tuple[tuple[str, str, frozenset[str]], ...]] = (
    ("/", "Inbox", frozenset()),
    ("/runs", "Runs", frozenset()),
    ("/connectors", "Connectors", frozenset()),
    ("/systems", "Systems", frozenset()),
    ("/quarantine", "Quarantine", frozenset()),
    ("/schedules", "Schedules", frozenset()),
    ("/data", "Data", frozenset({"operator", "approver", "steward", "auditor"})),
    ("/person", "Person", frozenset({"operator", "approver", "steward", "auditor"})),
    ("/audit", "Audit", frozenset()),
    ("/access", "Access", frozenset({"admin", "auditor"})),
    ("/help", "Help", frozenset()),
)
"""Path, name, and whoever holds one of these roles sees it; no role: everybody."""


class Templates:
    """The templates with the filters of a district."""

    def __init__(self, *, time_zone: str, clock: Clock, trace_url: str | None = None) -> None:
        """`trace_url` is where a trace can be looked at, with `{trace_id}` in it."""
        self._trace_url = trace_url
        self.zone = ZoneInfo(time_zone)
        self._clock = clock
        self.environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters |= {
            "time": self.time,
            "ago": self.ago,
            "digest": digest,
            "number": number,
            "duration": duration,
            "words": words,
            "trace": self.trace,
        }

    def render(self, template: str, **context: Any) -> str:
        """A piece of a page for everybody, such as what live pages are sent."""
        return self.environment.get_template(template).render(**context)

    def time(self, moment: str | datetime | None, *, form: str = "%Y-%m-%d %H:%M:%S") -> Markup:
        """A moment in the district's zone, with the moment in UTC behind it."""
        if moment is None or moment == "":
            return NOTHING
        at = from_text(moment) if isinstance(moment, str) else moment
        utc = at.astimezone(UTC)
        local = at.astimezone(self.zone)
        return Markup('<time datetime="{}" title="{} UTC">{} {}</time>').format(
            utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%d %H:%M:%S"), local.strftime(form), local.tzname()
        )

    def trace(self, trace_id: str) -> Markup:
        """The id of a trace, as a link where the district has a place to look at traces."""
        shown = Markup('<span class="mono">{}</span>').format(trace_id)
        if self._trace_url is None:
            return shown
        address = self._trace_url.replace("{trace_id}", trace_id)
        return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(address, shown)

    def ago(self, moment: str | datetime | None) -> Markup:
        """How long ago, or in how long, with the moment behind it."""
        if moment is None or moment == "":
            return NOTHING
        at = from_text(moment) if isinstance(moment, str) else moment
        seconds = (self._clock.now() - at).total_seconds()
        text = (
            "now"
            if abs(seconds) < 1
            else f"{duration(abs(seconds))} ago"
            if seconds > 0
            else f"in {duration(-seconds)}"
        )
        utc, local = at.astimezone(UTC), at.astimezone(self.zone)
        return Markup('<time datetime="{}" title="{} {}">{}</time>').format(
            utc.strftime("%Y-%m-%dT%H:%M:%SZ"), local.strftime("%Y-%m-%d %H:%M:%S"), local.tzname(), text
        )


def page(
    request: Request, template: str, *, visitor: Visitor | None, status: int = 200, **context: Any
) -> HTMLResponse:
    """A whole page for one visitor."""
    console = console_of(request)
    theme = request.cookies.get(THEME_COOKIE, "auto")
    text = console.templates.render(
        template,
        visitor=visitor,
        navigation=[] if visitor is None else [
            (path, name) for path, name, roles in NAVIGATION if not roles or visitor.roles & roles
        ],
        path=request.url.path,
        here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        nonce=request.state.nonce,
        csrf_field=csrf_field(visitor.csrf) if visitor is not None else Markup(""),
        csrf=visitor.csrf if visitor is not None else "",
        theme=theme if theme in THEMES else "auto",
        now=console.clock.now(),
        zone=console.settings.time_zone,
        environment=console.environment,
        done=request.query_params.get("done", ""),
        with_query=lambda **changes: _with_query(request, changes),
        **context,
    )  # fmt: skip
    return HTMLResponse(text, status_code=status)


def csrf_field(token: str) -> Markup:
    """The hidden field that every form of a session carries."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token)


def digest(text: str | None) -> Markup:
    """A digest, shortened to what identifies it, the whole of it behind."""
    if not text:
        return NOTHING
    digits = text.removeprefix("sha256:")
    return Markup('<code class="digest" title="{}">{}</code>').format(text, digits[:DIGEST_DIGITS_SHOWN])


def number(value: float | None) -> str:
    """A number with its thousands apart."""
    return "\N{EN DASH}" if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """A length of time in one or two units."""
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # a tenth matters of few seconds only
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:.0f} s"
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:.0f} min"
    return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:.0f} h"


def words(name: str) -> str:
    """A name of the house as words: `awaiting_approval` is `awaiting approval`."""
    return str(escape(name)).replace("_", " ")


def _with_query(request: Request, changes: dict[str, Any]) -> str:
    """The address of this page with some of its query changed; None takes a parameter away."""
    kept = {name: value for name, value in request.query_params.multi_items() if name != "done"}
    for name, value in changes.items():
        if value is None or value == "":
            kept.pop(name, None)
        else:
            kept[name] = str(value)
    return request.url.path + (f"?{urlencode(kept)}" if kept else "")
