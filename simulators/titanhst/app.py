"""The TitanHST contact API over HTTP: `create_app` puts the vendor behind the kit's gateway and control plane.

The vendor's order of refusals: token (401), path and verb (404, 405), right to write (403), body (413, 400, 422),
record (404, 409). It is an assumed contract, to be confirmed with the vendor; README.md beside this file states it.
"""

import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from simulators.kit.gateway import Answer, Call
from simulators.kit.lines import LineFile
from simulators.kit.paging import Page
from simulators.kit.staging import Stage, staged
from simulators.titanhst.rules import body_errors
from simulators.titanhst.store import Contact, ContactStore, DuplicateExternalIdError, code_items, open_store

PAGE_LIMIT_DEFAULT = 100
PAGE_LIMIT_MAX = 500
REQUEST_BODY_BYTES_MAX = 64 * 1024
BASE = ("api", "v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TitanConfig:
    """One simulated TitanHST."""

    read_token: str = field(repr=False)
    write_token: str = field(repr=False)
    tokens_now: Callable[[], tuple[str, str]] | None = None
    """What gives the two tokens in force at a moment, when they are changed while it runs; None: those above."""
    seed: Any
    """The state to begin with, as README.md describes it."""
    keep_file: Path | None = None
    """Where the state is kept over restarts; once it exists it wins over the seed."""
    stage: Stage = field(default_factory=Stage)


def create_app(config: TitanConfig) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`, which can cut connections."""
    if not config.read_token or not config.write_token or config.read_token == config.write_token:
        raise ValueError("the read token and the write token must be there and differ")
    return staged("titanhst", TitanHst(config), config.stage)


class _Refused(Exception):
    """The vendor says no."""

    def __init__(self, status: int, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.document = {"message": message, **more}


class TitanHst:
    """The vendor itself: one call in, one answer out, nothing awaited between."""

    body_bytes_max = REQUEST_BODY_BYTES_MAX

    def __init__(self, config: TitanConfig) -> None:
        self._config = config
        self._lines = LineFile(config.keep_file) if config.keep_file is not None else None
        self._store = open_store(seed=config.seed, lines=self._lines, now=config.stage.clock())

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state."""
        return self._store.document()

    def write_state(self, document: Any) -> None:
        """Replace the whole state."""
        store = ContactStore.from_document(document, now=self._config.stage.clock())
        if self._lines is not None:
            store.keep_in(self._lines)
        self._store = store

    def close(self) -> None:
        """Let go of the file the state is kept in."""
        if self._lines is not None:
            self._lines.close()

    def page(self, call: Call) -> Page | None:
        """Say which page of which list a call asks for."""
        if call.method != "GET" or call.segments[:2] != BASE or len(call.segments) != 3:
            return None
        collection = call.segments[2]
        totals = {
            "contacts": len(self._store),
            "roles": len(self._store.roles),
            "locations": len(self._store.locations),
        }
        if collection not in totals:
            return None
        try:
            offset, limit = _offset_and_limit(call)
        except _Refused:
            return None
        return Page(collection=collection, offset=offset, limit=limit, total=totals[collection])

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no the way this vendor does."""
        return _json(status, {"message": message, **more})

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Answer one call, and do what it asks unless it is pretended."""
        try:
            return self._dispatch(call, window=window, pretend=pretend)
        except _Refused as refused:
            return _json(refused.status, refused.document)

    def _dispatch(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        if call.segments[:1] != BASE[:1] or call.segments[1:2] != BASE[1:]:
            raise _Refused(404, "no such path")
        can_write = self._authorise(call)
        match call.segments[2:]:
            case ("roles" | "locations" | "contacts" as collection,) if call.method == "GET":
                return self._list(call, collection=collection, window=window)
            case ("contacts",):
                self._allow(call, ("GET", "POST"), can_write=can_write)
                return self._create(call, pretend=pretend)
            case ("roles" | "locations",):
                self._allow(call, ("GET",), can_write=can_write)
            case ("contacts", "external", external_id) if external_id:
                self._allow(call, ("GET",), can_write=can_write)
                return _json(200, _found(self._store.get_by_external_id(external_id)))
            case ("contacts", contact_id) if contact_id:
                self._allow(call, ("GET", "PATCH", "DELETE"), can_write=can_write)
                return self._one(call, contact_id=contact_id, pretend=pretend)
        raise _Refused(404, "no such path")

    def _authorise(self, call: Call) -> bool:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        sent = token.strip().encode()
        config = self._config
        reading, writing = (config.read_token, config.write_token) if config.tokens_now is None else config.tokens_now()
        for known, can_write in ((reading, False), (writing, True)):
            if scheme.lower() == "bearer" and hmac.compare_digest(known.encode(), sent):
                return can_write
        raise _Refused(401, "a valid bearer token is required")

    @staticmethod
    def _allow(call: Call, methods: Sequence[str], *, can_write: bool) -> None:
        if call.method not in methods:
            raise _Refused(405, f"{call.method} is not allowed here; allowed: {', '.join(methods)}")
        if call.method != "GET" and not can_write:
            raise _Refused(403, "this token may only read")

    def _list(self, call: Call, *, collection: str, window: slice | None) -> Answer:
        if window is None:
            _offset_and_limit(call)  # says what is wrong with them
            raise AssertionError("a well-formed list request has a window")
        items: Sequence[object]
        match collection:
            case "contacts":
                total, items = len(self._store), self._store.page(window)
            case "roles":
                total, items = len(self._store.roles), code_items(self._store.roles)[window]
            case _:
                total, items = len(self._store.locations), code_items(self._store.locations)[window]
        return _json(200, {"total": total, "items": items})

    def _create(self, call: Call, *, pretend: bool) -> Answer:
        body = self._checked_body(call, is_partial=False)
        try:
            contact = self._store.create(body, now=self._config.stage.clock(), pretend=pretend)
        except DuplicateExternalIdError as error:
            raise _Refused(409, str(error)) from error
        return _json(201, contact, effect="none" if pretend else f"created {contact['id']}", contact=contact)

    def _one(self, call: Call, *, contact_id: str, pretend: bool) -> Answer:
        match call.method:
            case "GET":
                return _json(200, _found(self._store.get(contact_id)))
            case "DELETE":
                contact = _found(self._store.get(contact_id))
                if not pretend:
                    self._store.delete(contact)
                effect = "none" if pretend else f"deleted {contact_id}"
                return Answer(status=204, effect=effect, external_id=contact["externalId"], record_id=contact_id)
            case _:
                return self._update(call, contact_id=contact_id, pretend=pretend)

    def _update(self, call: Call, *, contact_id: str, pretend: bool) -> Answer:
        body = self._checked_body(call, is_partial=True)
        before = _found(self._store.get(contact_id))
        try:
            after, changed = self._store.update(before, body, now=self._config.stage.clock(), pretend=pretend)
        except DuplicateExternalIdError as error:
            raise _Refused(409, str(error)) from error
        if pretend:
            effect = "none"
        elif changed:
            effect = f"updated {contact_id} [{', '.join(changed)}]"
        else:
            effect = f"unchanged {contact_id}"
        return _json(200, after, effect=effect, contact=after if after["externalId"] is not None else before)

    def _checked_body(self, call: Call, *, is_partial: bool) -> dict[str, Any]:
        if call.is_body_too_large:
            raise _Refused(413, f"the body is over {REQUEST_BODY_BYTES_MAX} bytes")
        try:
            body = json.loads(call.body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise _Refused(400, "the body is not JSON") from error
        if not isinstance(body, dict):
            raise _Refused(422, "the body is not valid", errors={"body": ["must be an object"]})
        errors = body_errors(body, roles=self._store.roles, locations=self._store.locations, is_partial=is_partial)
        if errors:
            raise _Refused(422, "the body is not valid", errors=errors)
        return body


def _offset_and_limit(call: Call) -> tuple[int, int]:
    offset = _whole_number(call, "offset", default=0, least=0, most=None)
    limit = _whole_number(call, "limit", default=PAGE_LIMIT_DEFAULT, least=1, most=PAGE_LIMIT_MAX)
    return offset, limit


def _whole_number(call: Call, name: str, *, default: int, least: int, most: int | None) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= 15
    if not is_number or int(text) < least or (most is not None and int(text) > most):
        upper = f" to {most}" if most is not None else ""
        raise _Refused(400, f"{name} must be a whole number from {least}{upper}")
    return int(text)


def _found(contact: Contact | None) -> Contact:
    if contact is None:
        raise _Refused(404, "no such contact")
    return contact


def _json(status: int, document: object, *, effect: str = "none", contact: Contact | None = None) -> Answer:
    return Answer(
        status=status,
        body=json.dumps(document, separators=(",", ":")).encode(),
        effect=effect,
        external_id=contact["externalId"] if contact is not None else None,
        record_id=contact["id"] if contact is not None else None,
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
