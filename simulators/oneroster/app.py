"""A OneRoster provider over HTTP, 1.1 and 1.2 side by side: `create_app` puts it behind the kit's gateway.

It only reads: roster services offer no writes here. The order of refusals: base path (404), who asks (401, 403), verb
(405), path (404), query (400). README.md beside this file states what is simulated, rule by rule (O1 …).
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette

from simulators.kit.gateway import Answer, Call
from simulators.kit.paging import Page
from simulators.kit.staging import Stage, staged
from simulators.kit.switches import Switchboard
from simulators.kit.violations import without_ids
from simulators.oneroster.auth import SCOPES_1P2, Denied, Door
from simulators.oneroster.query import Query, QueryError, fields_of, keeps, member, parsed
from simulators.oneroster.rows import Row
from simulators.oneroster.shapes import SINGULAR, Shaper, Version, members
from simulators.oneroster.store import DELETED, Roster
from simulators.oneroster.switches import OneRosterSwitches

REQUEST_BODY_BYTES_MAX = 64 * 1024
BASES: dict[Version, tuple[str, ...]] = {
    "1.1": ("ims", "oneroster", "v1p1"),
    "1.2": ("ims", "oneroster", "rostering", "v1p2"),
}
VIEWS = frozenset(
    {
        "orgs", "schools", "academicSessions", "terms", "gradingPeriods", "courses", "classes", "users", "students",
        "teachers", "enrollments", "demographics",
    }
)  # fmt: skip
LISTS_KEPT_MAX = 16
"""Results of filters and sorts kept, so that their later pages cost no more than a page."""
_STORED = frozenset({"sourcedId", "dateLastModified"})
"""Members that are shown as they are stored, so a filter need not build the record."""
_MINORS = {
    401: "unauthorisedrequest", 403: "unauthorisedrequest", 404: "unknownobject", 405: "unsupportedoperation",
}  # fmt: skip


PEOPLE = frozenset({"users", "students", "teachers", "demographics"})
"""Resources behind which the id of a person stands in a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRosterConfig:
    """One simulated provider."""

    client_id: str
    client_secret: str = field(repr=False)
    seed: Any
    """The state to begin with, as README.md describes it."""
    path_prefix: str = ""
    """What stands before the base paths, as behind a proxy."""
    token_path: str = ""
    """Where tokens are given besides base + `/token`, such as `oauth/token`; they are good for 1.1."""
    scopes: frozenset[str] = SCOPES_1P2
    """What the client may have of 1.2."""
    switches: OneRosterSwitches = field(default_factory=OneRosterSwitches)
    stage: Stage = field(default_factory=Stage)


def create_app(config: OneRosterConfig) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`, which can cut connections."""
    if not config.client_id or not config.client_secret:
        raise ValueError("the client id and the client secret must be there")
    switchboard = Switchboard(config.switches)
    return staged("oneroster", OneRoster(config, switchboard), config.stage, switchboard=switchboard)


class _Refused(Exception):
    """The provider says no; with a rule, the client broke it and that is recorded."""

    def __init__(self, status: int, message: str, *, minor: str | None = None, rule: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.minor = minor
        self.rule = rule


@dataclass(frozen=True, slots=True)
class _Listing:
    """Which records a path lists: a name for it, their collection, and their ids in order."""

    name: str
    collection: str
    ids: list[str]


class OneRoster:
    """The provider itself: one call in, one answer out, nothing awaited between."""

    body_bytes_max = REQUEST_BODY_BYTES_MAX

    def __init__(self, config: OneRosterConfig, switchboard: Switchboard[OneRosterSwitches]) -> None:
        self._clock = config.stage.clock
        self._switchboard = switchboard
        self._prefix = tuple(part for part in config.path_prefix.split("/") if part)
        self._token_path = tuple(part for part in config.token_path.split("/") if part)
        self._door = Door(client_id=config.client_id, client_secret=config.client_secret, scopes=config.scopes)
        self._roster = Roster.from_document(config.seed, now=self._clock())
        self._kept: OrderedDict[object, list[str]] = OrderedDict()
        self._lists_served = 0  # for O24

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state."""
        return self._roster.document()

    def write_state(self, document: Any) -> None:
        """Replace the whole state; tokens stay good."""
        self._roster = Roster.from_document(document, now=self._clock())
        self._kept.clear()

    def close(self) -> None:
        """There is no file to let go of."""

    def page(self, call: Call) -> Page | None:
        """Say which page of which list a call asks for."""
        version, path = self._split(call)
        if version is None or call.method != "GET":
            return None
        try:
            listing = self._listing(path)
            if listing is None:
                return None
            query = self._query(call, listing.collection, version)
            total = len(self._found(call, listing, query, version))
        except (QueryError, _Refused):
            return None
        return Page(collection=f"{version} {listing.name}", offset=query.offset, limit=query.limit, total=total)

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no the way this provider does (O16)."""
        minor = _MINORS.get(status, "invaliddata" if status < 500 else "targetreadfailure")
        return self._error(status, message, minor=minor, more=more)

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Answer one call; there is nothing to pretend, because nothing is ever written."""
        version, path = self._split(call)
        try:
            if self._is_token_path(call, path):
                return self._token(call, version or "1.1")
            if version is None:
                raise _Refused(404, "no such base path", minor="unknownobject")
            self._let_in(call, path, version)
            if call.method != "GET":
                raise _Refused(405, "this service only reads", minor="unsupportedoperation", rule="O1")
            return self._read(call, path, version, window=window)
        except Denied as denied:
            self._record(call, denied.rule, str(denied))
            return self.refusal(denied.status, str(denied))
        except QueryError as error:
            self._record(call, error.rule, str(error))
            # 1.1 knows no code of its own for a filter.
            is_unknown = version == "1.1" and error.minor == "invalid_filter_field"
            return self._error(400, str(error), minor="invaliddata" if is_unknown else error.minor)
        except _Refused as refused:
            self._record(call, refused.rule, str(refused))
            return self._error(refused.status, str(refused), minor=refused.minor or "invaliddata")

    def _split(self, call: Call) -> tuple[Version | None, tuple[str, ...]]:
        if call.segments[: len(self._prefix)] == self._prefix:
            rest = call.segments[len(self._prefix) :]
            for version, base in BASES.items():
                if rest[: len(base)] == base:
                    return version, rest[len(base) :]
        return None, ()

    def _is_token_path(self, call: Call, path: tuple[str, ...]) -> bool:
        return path == ("token",) or (bool(self._token_path) and call.segments == self._token_path)

    def _token(self, call: Call, version: Version) -> Answer:
        if call.method != "POST":
            raise _Refused(405, "POST is needed here", minor="unsupportedoperation", rule="O2")
        now = self._switchboard.now
        try:
            if version == "1.1" and not now.oauth2:
                raise Denied(401, "invalid_client", "this provider takes signed requests only")
            document = self._door.give_token(
                call,
                version=version,
                client_auth=now.client_auth,
                seconds=now.token_seconds,
                now=self._clock(),
            )
        except Denied as denied:
            self._record(call, denied.rule, str(denied))
            return _json(denied.status, {"error": denied.word, "error_description": str(denied)})
        return _json(200, document)

    def _let_in(self, call: Call, path: tuple[str, ...], version: Version) -> None:
        now = self._switchboard.now
        scheme = call.headers.get("authorization", "").partition(" ")[0].lower()
        if scheme == "oauth":
            if version == "1.2":
                raise Denied(401, "invalid_request", "1.2 takes OAuth 2 only", "O5")
            if not now.oauth1:
                raise Denied(401, "invalid_request", "this provider takes bearer tokens only")
            self._door.check_signature(call, now=self._clock())
            return
        if version == "1.1" and not now.oauth2:
            raise Denied(401, "invalid_request", "this provider takes signed requests only")
        is_demographics = "demographics" in path
        self._door.check_bearer(call, version=version, is_demographics=is_demographics, now=self._clock())

    def _read(self, call: Call, path: tuple[str, ...], version: Version, *, window: slice | None) -> Answer:
        listing = self._listing(path)
        if listing is not None:
            return self._list(call, listing, version, window=window)
        if len(path) == 2 and path[0] in VIEWS:
            view, sourced_id = path
            if self._roster.is_in_view(view, sourced_id):
                collection = self._roster.view(view)[0]
                row = self._roster.rows(collection)[sourced_id]
                if not (self._switchboard.now.forgets_deleted and row["status"] in DELETED):
                    return self._one(call, collection, row, version)
        raise _Refused(404, "no such record or path", minor="unknownobject")

    def _one(self, call: Call, collection: str, row: Row, version: Version) -> Answer:
        is_lenient = self._switchboard.now.lenient_queries
        fields = fields_of(call.query, known=members(collection, version), is_lenient=is_lenient)
        shown = self._shaper(call, version).show(collection, row)
        return _json(200, {SINGULAR[collection]: _selected(shown, fields)})  # O8

    def _list(self, call: Call, listing: _Listing, version: Version, *, window: slice | None) -> Answer:
        query = self._query(call, listing.collection, version)
        found = self._found(call, listing, query, version)
        if window is None:
            raise AssertionError("a well-formed list request has a window")
        shaper = self._shaper(call, version)
        rows = self._roster.rows(listing.collection)
        shown = [
            _selected(shaper.show(listing.collection, rows[sourced_id]), query.fields)
            for sourced_id in self._turned(found, window, is_sorted=query.sort is not None)
        ]
        headers = {"Link": _links(call, query, total=len(found))}
        if self._switchboard.now.shows_totals:
            headers["X-Total-Count"] = str(len(found))
        return _json(200, {listing.collection: shown}, headers=headers)

    def _turned(self, found: list[str], window: slice, *, is_sorted: bool) -> list[str]:
        """Give the ids at these positions, turned by one place a request where the order is unstable (O24)."""
        if is_sorted or not found or not self._switchboard.now.unstable_order:
            return found[window]
        self._lists_served += 1
        positions = range(*window.indices(len(found)))
        return [found[(position + self._lists_served) % len(found)] for position in positions]

    def _listing(self, path: tuple[str, ...]) -> _Listing | None:
        """Find the list under a path; a nested one must hang on a record that is there (O6, O7)."""
        if len(path) == 1 and path[0] in VIEWS:
            collection, ids = self._roster.view(path[0])
            return _Listing(path[0], collection, ids)
        nested = self._roster.nested(path)
        if nested is None:
            return None
        for view, sourced_id in zip(path[:-1:2], path[1::2], strict=False):
            if not self._roster.is_in_view(view, sourced_id):
                raise _Refused(404, "no such record", minor="unknownobject")
        if path[0] == "schools" and len(path) == 5:
            room = self._roster.rows("classes")[path[3]]
            if room["schoolSourcedId"] != path[1]:
                raise _Refused(404, "the class is not of this school", minor="unknownobject")
        collection, found = nested
        return _Listing("/".join(path), collection, sorted(found))

    def _query(self, call: Call, collection: str, version: Version) -> Query:
        now = self._switchboard.now
        return parsed(
            call.query,
            known=members(collection, version),
            limit_max=now.limit_max,
            caps_limit=now.over_limit == "cap",
            is_lenient=now.lenient_queries,
        )

    def _found(self, call: Call, listing: _Listing, query: Query, version: Version) -> list[str]:
        """List the ids that a query finds, kept for its other pages."""
        now = self._switchboard.now
        if not query.comparisons and query.sort is None and not now.forgets_deleted:
            return listing.ids
        asked = (query.comparisons, query.is_any, query.sort, query.is_descending)
        key = (version, listing.name, *asked, now.forgets_deleted, now.shows_inactive, now.json_booleans)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = self._search(listing, query, self._shaper(call, version), forgets=now.forgets_deleted)
        self._kept[key] = found
        if len(self._kept) > LISTS_KEPT_MAX:
            self._kept.popitem(last=False)
        return found

    def _search(self, listing: _Listing, query: Query, shaper: Shaper, *, forgets: bool) -> list[str]:
        rows = self._roster.rows(listing.collection)
        names = {each.name for each in query.comparisons}
        is_light = names <= {*_STORED, "status"}
        found: list[str] = []
        for sourced_id in listing.ids:
            row = rows[sourced_id]
            if forgets and row["status"] in DELETED:
                continue
            shown = row | {"status": shaper.status(row)} if is_light else shaper.show(listing.collection, row)
            if keeps(query, lambda name, shown=shown: member(shown, name)):  # type: ignore[misc]  # a bound default
                found.append(sourced_id)
        if query.sort is not None:
            sort = query.sort

            def key(sourced_id: str) -> tuple[str, str]:
                return str(member(shaper.show(listing.collection, rows[sourced_id]), sort) or ""), sourced_id

            found.sort(key=key, reverse=query.is_descending)
        return found

    def _shaper(self, call: Call, version: Version) -> Shaper:
        now = self._switchboard.now
        base = "/".join((*self._prefix, *BASES[version]))
        return Shaper(
            version=version,
            base_url=f"http://{call.headers.get('host', '')}/{base}",
            roster=self._roster,
            json_booleans=now.json_booleans,
            shows_inactive=now.shows_inactive,
        )

    def _record(self, call: Call, rule: str | None, text: str) -> None:
        if rule is not None:
            path = without_ids(call.segments, behind=PEOPLE, shown="{sourcedId}")
            self._roster.violations.add(rule, method=call.method, path=path, text=text)

    def _error(self, status: int, message: str, *, minor: str, more: dict[str, object] | None = None) -> Answer:
        document: dict[str, object] = {
            "imsx_codeMajor": "unsupported" if status == 405 else "failure",
            "imsx_severity": "error",
            "imsx_messageRefIdentifier": "simulated",
            "imsx_description": message,
            "imsx_CodeMinor": {
                "imsx_codeMinorField": [
                    {"imsx_codeMinorFieldName": "TargetEndSystem", "imsx_codeMinorFieldValue": minor}
                ]
            },
            **(more or {}),
        }
        is_wrapped = self._switchboard.now.error_body == "wrapped"
        return _json(status, {"imsx_StatusInfo": document} if is_wrapped else document)


def _selected(shown: Row, fields: tuple[str, ...] | None) -> Row:
    return shown if fields is None else {name: value for name, value in shown.items() if name in fields}


def _links(call: Call, query: Query, *, total: int) -> str:
    last = max(0, (total - 1) // query.limit * query.limit)
    offsets = {"first": 0, "last": last}
    if query.offset + query.limit < total:
        offsets["next"] = query.offset + query.limit
    if query.offset > 0:
        offsets["prev"] = max(0, query.offset - query.limit)
    base = f"http://{call.headers.get('host', '')}{call.path}"
    links: Iterable[str] = (
        f'<{base}?{urlencode(call.query | {"limit": str(query.limit), "offset": str(offset)})}>; rel="{relation}"'
        for relation, offset in offsets.items()
    )
    return ", ".join(links)


def _json(status: int, document: object, *, headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps(document, separators=(",", ":")).encode()
    return Answer(status=status, body=body, headers=headers or {})
