"""Log lines: one JSON object each, with only the keys that are known to hold no personal value.

A key outside the list is dropped and counted in the line, so that a careless `log.info(..., person=...)` tells
nobody's name.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "service", "run", "connector", "connection", "system", "entity",
        "side", "partition", "status", "code", "attempt", "seconds", "rows", "records", "pages", "changes", "messages",
        "count", "subject", "stream", "seq", "event_type", "user", "act", "exits", "error", "said", "command", "target",
        "fencing_token", "result", "path", "port", "url", "signal", "deliveries", "delay_seconds", "reason", "text",
        "exception", "check", "name", "version", "entries", "size", "lag", "from_size", "host", "consumer", "handler",
    }
)  # fmt: skip
"""Keys of log lines. None may ever hold a value of a person's record."""


def keep_allowed(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The line without keys that are not on the list; how many were dropped is said in `dropped`."""
    foreign = [key for key in line if key not in ALLOWED]
    for key in foreign:
        del line[key]
    if foreign:
        line["dropped"] = len(foreign)
    return line


def _frames_only(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and the places it passed; its text could hold a value."""
    found = line.pop("exc_info", None)
    if not found:
        return line
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        places: list[str] = []
        trace = error.__traceback__
        while trace is not None and len(places) < 20:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_qualname if hasattr(code, 'co_qualname') else code.co_name}:{trace.tb_lineno}")
            trace = trace.tb_next
        line["exception"] = f"{type(error).__name__} at {' > '.join(places)}"
    return line


def configure_logs(service: str, level: str) -> None:
    """Set up logging of a program: JSON lines on standard error."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _frames_only,
            keep_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=max(number, logging.WARNING), format="%(levelname)s %(name)s %(message)s")
