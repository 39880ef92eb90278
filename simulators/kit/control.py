"""The control plane under `/_sim/`: what a test or an operator may ask of a simulator and do to it.

It is no part of the simulated vendor: no token, no rate limit, no fault and no journal entry applies to it.
"""

import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.kit.faults import Fault, FaultMenu
from simulators.kit.journal import Journal, effects_by_external_id
from simulators.kit.stopwatch import Stopwatch
from simulators.kit.switches import CHANGES, Switchboard

BODY_BYTES_MAX = 64 * 1024 * 1024
_FAULTS: TypeAdapter[list[Fault]] = TypeAdapter(list[Fault])


class _Refused(Exception):
    """What was asked of the control plane makes no sense."""


class Control:
    """The routes of one simulator's control plane."""

    def __init__(
        self,
        *,
        name: str,
        faults: FaultMenu,
        journal: Journal,
        stopwatch: Stopwatch,
        read_state: Callable[[], dict[str, Any]],
        write_state: Callable[[Any], None],
        switchboard: Switchboard[Any] | None = None,
    ) -> None:
        self._name = name
        self._faults = faults
        self._journal = journal
        self._stopwatch = stopwatch
        self._read_state = read_state
        self._write_state = write_state
        self._switchboard = switchboard

    def routes(self) -> list[Route]:
        """List the routes, to stand before the vendor's own."""
        return [
            Route("/_sim/health", self._health, methods=["GET"]),
            Route("/_sim/journal", self._get_journal, methods=["GET"]),
            Route("/_sim/effects", self._get_effects, methods=["GET"]),
            Route("/_sim/state", self._get_state, methods=["GET"]),
            Route("/_sim/state", self._put_state, methods=["PUT"]),
            Route("/_sim/faults", self._get_faults, methods=["GET"]),
            Route("/_sim/faults", self._post_faults, methods=["POST"]),
            Route("/_sim/faults", self._delete_faults, methods=["DELETE"]),
            Route("/_sim/stopwatch", self._get_stopwatch, methods=["GET"]),
            Route("/_sim/stopwatch", self._delete_stopwatch, methods=["DELETE"]),
            Route("/_sim/switches", self._get_switches, methods=["GET"]),
            Route("/_sim/switches", self._patch_switches, methods=["PATCH"]),
            Route("/_sim/switches", self._delete_switches, methods=["DELETE"]),
            # Without this, a mistyped control request would reach the vendor and use up a fault there.
            Route("/_sim/{rest:path}", self._unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]

    async def _unknown(self, request: Request) -> Response:
        return _refusal(404, f"no control answers {request.method} {request.url.path}")

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "simulator": self._name, "last_seq": self._journal.last_seq})

    async def _get_journal(self, request: Request) -> Response:
        try:
            after_seq = _after_seq(request)
            effects_only = _flag(request, "effects_only")
        except _Refused as refused:
            return _refusal(400, str(refused))
        entries = self._journal.entries(after_seq=after_seq, effects_only=effects_only)
        return JSONResponse({"entries": entries, "last_seq": self._journal.last_seq, "dropped": self._journal.dropped})

    async def _get_effects(self, request: Request) -> Response:
        try:
            after_seq = _after_seq(request)
        except _Refused as refused:
            return _refusal(400, str(refused))
        effects = effects_by_external_id(self._journal.entries(after_seq=after_seq, effects_only=True))
        return JSONResponse({"effects": effects, "last_seq": self._journal.last_seq, "dropped": self._journal.dropped})

    async def _get_state(self, request: Request) -> Response:
        state = self._read_state()
        # Large worlds take long to write out; the vendor goes on answering meanwhile.
        return Response(await run_in_threadpool(_encode, state), media_type="application/json")

    async def _put_state(self, request: Request) -> Response:
        try:
            self._write_state(await _json_body(request))
        except (_Refused, ValueError) as refused:
            return _refusal(422, str(refused))
        return Response(status_code=204)

    async def _get_faults(self, request: Request) -> Response:
        return JSONResponse(self._faults.document())

    async def _post_faults(self, request: Request) -> Response:
        try:
            body = await _json_body(request)
            faults = _FAULTS.validate_python(body if isinstance(body, list) else [body])
            self._faults.arm(faults)
        except ValidationError as error:
            errors = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            return _refusal(422, "these faults cannot be armed: " + "; ".join(errors))
        except (_Refused, ValueError) as refused:
            return _refusal(422, str(refused))
        return JSONResponse({"armed": len(faults)}, status_code=201)

    async def _delete_faults(self, request: Request) -> Response:
        return JSONResponse({"disarmed": self._faults.clear()})

    async def _get_switches(self, request: Request) -> Response:
        return JSONResponse(self._switchboard.document() if self._switchboard is not None else {})

    async def _patch_switches(self, request: Request) -> Response:
        try:
            changes = CHANGES.validate_python(await _json_body(request))
            if self._switchboard is None:
                raise _Refused("this simulator has no switches")
            self._switchboard.set(changes)
        except ValidationError as error:
            errors = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            return _refusal(422, "these switches cannot be set: " + "; ".join(errors))
        except _Refused as refused:
            return _refusal(422, str(refused))
        return JSONResponse(self._switchboard.document())

    async def _delete_switches(self, request: Request) -> Response:
        if self._switchboard is not None:
            self._switchboard.reset()
        return Response(status_code=204)

    async def _get_stopwatch(self, request: Request) -> Response:
        return JSONResponse(self._stopwatch.document())

    async def _delete_stopwatch(self, request: Request) -> Response:
        self._stopwatch.start_anew()
        return Response(status_code=204)


async def _json_body(request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise _Refused(f"the body is over {BODY_BYTES_MAX} bytes")
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise _Refused(f"the body is not JSON: {error}") from error


def _after_seq(request: Request) -> int:
    text = request.query_params.get("after_seq", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _Refused(f"after_seq is {text[:40]!r}; it is a whole number from 0")
    return int(text)


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in {"true", "false", "1", "0"}:
        raise _Refused(f"{name} is {text[:40]!r}; it is true or false")
    return text in {"true", "1"}


def _encode(state: dict[str, Any]) -> bytes:
    return json.dumps(state, separators=(",", ":")).encode()


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status)
