"""The control plane under `/_sim/`, on a port of its own: what one may ask of the server and do to it.

It has the paths that the other simulators have, as far as they make sense here.
"""

import json
from typing import Any, Final

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.kit.control import BODY_BYTES_MAX
from simulators.kit.switches import CHANGES
from simulators.tds.faults import FAULTS
from simulators.tds.house import House

_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def control_app(house: House) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "simulator": "tds", "last_seq": house.last_seq})

    async def journal(request: Request) -> Response:
        text = request.query_params.get("after_seq", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            return _refusal(400, f"after_seq is {text[:40]!r}; it is a whole number from 0")
        entries = [entry for entry in list(house.journal) if entry["seq"] > int(text)]
        dropped = house.last_seq - len(house.journal)
        return JSONResponse({"entries": entries, "last_seq": house.last_seq, "dropped": dropped})

    async def violations(request: Request) -> Response:
        return JSONResponse({"violations": house.violations, "dropped": house.violations_dropped})

    async def state(request: Request) -> Response:
        if request.method == "GET":
            # Large worlds take long to write out; the server goes on answering meanwhile.
            document = await run_in_threadpool(lambda: json.dumps(house.read_state(), separators=(",", ":")).encode())
            return Response(document, media_type="application/json")
        try:
            await run_in_threadpool(house.write_state, await _json_body(request))
        except ValueError as error:
            return _refusal(422, str(error))
        return Response(status_code=204)

    async def faults(request: Request) -> Response:
        match request.method:
            case "GET":
                return JSONResponse(house.faults.document())
            case "DELETE":
                return JSONResponse({"disarmed": house.faults.clear()})
        try:
            body = await _json_body(request)
            armed = FAULTS.validate_python(body if isinstance(body, list) else [body])
            house.faults.arm(*armed)
        except ValueError as error:
            return _refusal(422, f"these faults cannot be armed: {_told(error)}")
        return JSONResponse({"armed": len(armed)}, status_code=201)

    async def switches(request: Request) -> Response:
        if request.method == "DELETE":
            house.switchboard.reset()
            return Response(status_code=204)
        if request.method == "PATCH":
            try:
                house.switchboard.set(CHANGES.validate_python(await _json_body(request)))
            except ValueError as error:
                return _refusal(422, f"these switches cannot be set: {_told(error)}")
        return JSONResponse(house.switchboard.document())

    async def unknown(request: Request) -> Response:
        return _refusal(404, f"no control answers {request.method} {request.url.path}")

    return Starlette(
        routes=[
            Route("/_sim/health", health, methods=["GET"]),
            Route("/_sim/journal", journal, methods=["GET"]),
            Route("/_sim/violations", violations, methods=["GET"]),
            Route("/_sim/state", state, methods=["GET", "PUT"]),
            Route("/_sim/faults", faults, methods=["GET", "POST", "DELETE"]),
            Route("/_sim/switches", switches, methods=["GET", "PATCH", "DELETE"]),
            Route("/{rest:path}", unknown, methods=_METHODS),
        ]
    )


async def _json_body(request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ValueError(f"the body is over {BODY_BYTES_MAX} bytes")
    try:
        return json.loads(bytes(body))
    except RecursionError as error:
        raise ValueError("the body is nested too deeply") from error


def _told(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return str(error)


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status)
