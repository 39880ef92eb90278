"""The Snipe-IT API over HTTP: `create_app` puts the vendor behind the kit's gateway and control plane.

The vendor's order of refusals: path and verb (404, 405), rate (429), token (401), right to write (403), body (413,
422); what comes after that, a record that is not there included, is said with status 200. README.md beside this file
numbers the rules; the numbers in comments are its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette

from simulators.kit.gateway import Answer, Call
from simulators.kit.paging import Page
from simulators.kit.staging import Stage, staged
from simulators.kit.switches import Switchboard
from simulators.kit.violations import Violations
from simulators.snipeit.access import (
    ABSURD_BASE_SECONDS,
    TOKENS_MAX,
    Hit,
    Rights,
    Throttle,
    Token,
    find_token,
)
from simulators.snipeit.errands import Errand, Refused, document, error
from simulators.snipeit.lists import Listing, Lists, is_known_parameter, limit_and_offset, narrowing, sort_column
from simulators.snipeit.routes import BASE, ListAsked, Route, route_of
from simulators.snipeit.store import Store
from simulators.snipeit.switches import SnipeSwitches

REQUEST_BODY_BYTES_MAX = 1024 * 1024
THROTTLE_CAP = 60
FORM_TYPE = "application/x-www-form-urlencoded"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnipeConfig:
    """One simulated Snipe-IT."""

    tokens: tuple[Token, ...]
    seed: Any = field(default_factory=dict)
    """The state to begin with, as README.md describes it; `world` makes large ones."""
    switches: SnipeSwitches = field(default_factory=SnipeSwitches)
    stage: Stage = field(default_factory=Stage)


def create_app(config: SnipeConfig) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`, which can cut connections."""
    secrets = [token.secret for token in config.tokens]
    if not 1 <= len(secrets) <= TOKENS_MAX or not all(secrets) or len(set(secrets)) < len(secrets):
        raise ValueError(f"there are {len(secrets)} tokens: 1 to {TOKENS_MAX} are needed, none empty, no two the same")
    switchboard = Switchboard(config.switches)
    return staged("snipeit", SnipeIt(config, switchboard), config.stage, switchboard=switchboard)


class SnipeIt:
    """The vendor itself: one call in, one answer out, nothing awaited between."""

    body_bytes_max = REQUEST_BODY_BYTES_MAX

    def __init__(self, config: SnipeConfig, switchboard: Switchboard[SnipeSwitches]) -> None:
        self._config = config
        self._switchboard = switchboard
        self._throttle = Throttle()
        self._violations = Violations()
        self._store = Store()
        self._lists = Lists(self._store)
        self.write_state(config.seed)

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state, and which documented rules were broken so far."""
        return self._store.document() | {"violations": self._violations.document()}

    def write_state(self, document: Any) -> None:
        """Replace the whole state."""
        if not isinstance(document, dict):
            raise ValueError("state: an object of tables")
        violations = Violations.from_document(document.get("violations", []))
        tables = {name: rows for name, rows in document.items() if name != "violations"}
        store = Store.from_document(tables, now=self._config.stage.clock())
        for token in self._config.tokens:
            if token.user_id is not None and store["users"].get(token.user_id) is None:
                raise ValueError(f"users: a token acts for user {token.user_id}, who is not there")
        self._store, self._lists = store, Lists(store)
        self._violations = violations

    def close(self) -> None:
        """Nothing is kept in files."""

    def page(self, call: Call) -> Page | None:
        """Say which page of which list a call asks for."""
        route = route_of(call)
        asked = route.listing if route is not None and call.method == "GET" else None
        if asked is None or asked.is_missing(self._store):
            return None
        query = asked.query(call)
        limit, offset = limit_and_offset(call.query, rows_max=self._switchboard.now.max_results)
        total = len(self._listing(asked, query))
        walk = {name: value for name, value in query.items() if name not in {"limit", "offset"}}
        return Page(collection=f"{call.path}?{sorted(walk.items())}", offset=offset, limit=limit, total=total)

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no the way this vendor does."""
        if status == 401:
            return document({"error": "Unauthorized or unauthenticated."}, status=401)
        if status == 429:
            return self._throttled(1)
        return document({"status": "error", "messages": message, "payload": None, **more}, status=status)

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Answer one call, and do what it asks unless it is pretended."""
        wants_json = "/json" in call.headers.get("accept", "").split(",")[0]
        headers: dict[str, str] = {}
        try:
            route = route_of(call)
            if not wants_json:
                self._breach(call, "P2", "a request to the API without Accept: application/json")
            if route is None:
                raise Refused("404 endpoint not found", status=404)
            if call.method not in route.methods:
                raise Refused("Method not allowed", status=405)
            token, hit = self._let_in(call)
            if hit is not None and hit.wait_seconds:
                done = self._throttled(hit.wait_seconds, limit=hit.limit)
            else:
                if hit is not None:
                    headers = {"X-RateLimit-Limit": str(hit.limit), "X-RateLimit-Remaining": str(hit.remaining)}
                done = self._done(call, route, token, window=window, pretend=pretend)
        except Refused as refused:
            done = _refused(refused)
        done = replace(done, headers=headers | done.headers)
        return done if wants_json else _without_json(done)

    def _let_in(self, call: Call) -> tuple[Token | None, Hit | None]:
        token = find_token(self._config.tokens, call.headers.get("authorization", ""))
        user = self._store["users"].get(token.user_id) if token is not None and token.user_id is not None else None
        if user is not None and user["deleted_at"] is not None and self._switchboard.now.is_newer:
            token = None  # P4
        limit = self._switchboard.now.throttle_per_minute
        if limit is None:
            return token, None
        if self._switchboard.now.has_throttle_cap:
            limit = min(limit, THROTTLE_CAP)
        caller = "address" if token is None else f"user {token.user_id}" if token.user_id is not None else token.secret
        return token, self._throttle.hit(caller, limit=limit, now=self._config.stage.monotonic())

    def _done(self, call: Call, route: Route, token: Token | None, *, window: slice | None, pretend: bool) -> Answer:
        if token is None:
            raise Refused("unauthenticated", status=401)
        if call.method != "GET" and token.rights is Rights.READ:
            raise Refused("This action is unauthorized.", status=403)
        errand = Errand(
            call=call,
            token=token,
            store=self._store,
            switches=self._switchboard.now,
            now=self._config.stage.clock().strftime("%Y-%m-%d %H:%M:%S"),
            body=self._body(call),
            pretend=pretend,
            breach=lambda rule, text: self._breach(call, rule, text),
        )
        if route.listing is None or call.method != "GET":
            return route.act(errand)
        if route.listing.is_missing(self._store):
            route.listing.refuse_missing(errand)
        return self._list(errand, route.listing, window=window)

    def _list(self, errand: Errand, asked: ListAsked, *, window: slice | None) -> Answer:
        query, switches = asked.query(errand.call), errand.switches
        self._report_paging(errand, asked)
        listing = self._listing(asked, query)
        if window is None:
            raise AssertionError("a list request has a window")
        ids = listing.page(window, has_unstable_ties=switches.has_unstable_ties)
        table = self._store[asked.table]
        rows = [asked.shape(errand, table.rows[row_id]) for row_id in ids]
        return document({"total": len(listing), "rows": rows})

    def _listing(self, asked: ListAsked, query: Mapping[str, str]) -> Listing:
        return self._lists.listing(asked.table, query, switches=asked.switches(self._switchboard.now))

    def _report_paging(self, errand: Errand, asked: ListAsked) -> None:
        """Record what a walk through a list must not do if it is to meet every row once."""
        call, table = errand.call, self._store[asked.table]
        limit, offset = limit_and_offset(call.query, rows_max=errand.switches.max_results)
        for key in call.query:
            if key == "page":
                errand.breach("L3", "page is ignored; pages go by offset")
            elif not is_known_parameter(asked.table, table, key):
                errand.breach("L9", f"{key[:60]} is no parameter of this list; it was ignored")
        sent = call.query.get("limit", "1")
        if not sent.isdecimal() or int(sent[:15]) > errand.switches.max_results:
            errand.breach("L2", f"the limit is over {errand.switches.max_results}, or is no number")
        if "sort" in call.query and call.query["sort"] != sort_column(asked.table, table, call.query):
            errand.breach("L5", "there is no such column to sort by; the default was taken")
        is_narrowed = bool(narrowing(asked.table, table, call.query)) or bool(
            call.query.get("search") or call.query.get("filter")
        )
        if sort_column(asked.table, table, asked.query(call)) != "id":
            total = len(self._listing(asked, asked.query(call)))
            if offset > 0 or total > limit or not is_narrowed:
                errand.breach("L4", "a list without sort=id; rows with equal values change places between pages")
        if call.query.get("filter"):
            try:
                is_object = isinstance(json.loads(call.query["filter"]), dict)
            except (ValueError, RecursionError):
                is_object = False
            if not is_object:
                errand.breach("L7", "filter is no JSON object; it was ignored")

    def _body(self, call: Call) -> Mapping[str, Any]:
        if call.is_body_too_large:
            raise Refused(f"the body is over {REQUEST_BODY_BYTES_MAX} bytes", status=413)
        if call.method == "GET" or not call.body:
            return {}
        content_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not content_type.endswith(("/json", "+json")):
            self._breach(call, "P3", "a body that is not declared as application/json")
            return dict(parse_qsl(call.body.decode("latin-1"))) if content_type == FORM_TYPE else {}
        try:
            body = json.loads(call.body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused("Invalid JSON", status=422) from None
        return body if isinstance(body, dict) else {}

    def _throttled(self, wait: int, *, limit: int | None = None) -> Answer:
        switches = self._switchboard.now
        allowed = str(limit if limit is not None else switches.throttle_per_minute or 0)
        headers = {"X-RateLimit-Limit": allowed, "X-RateLimit-Remaining": "0"}
        if switches.has_numeric_throttle_message:  # T5
            return replace(error(429, status=429), headers=headers)
        if not switches.is_newer:  # T2
            return replace(error("Too many requests", status=429), headers=headers)
        shown = ABSURD_BASE_SECONDS + wait if switches.has_absurd_retry else wait  # T4
        reset = int(self._config.stage.clock().timestamp()) + wait
        body = {
            "status": "error",
            "messages": f"Too many requests. Try again in {shown} seconds.",
            "status_code": 429,
            "retryAfter": shown,
        }
        more = {"Retry-After": str(shown), "X-RateLimit-Reset": str(reset)}
        return replace(document(body, status=429), headers=headers | more)

    def _breach(self, call: Call, rule: str, text: str) -> None:
        self._violations.add(rule, method=call.method, path=call.path[:200], text=text)


def _refused(refused: Refused) -> Answer:
    match refused.status:
        case 401:
            return document({"error": "Unauthorized or unauthenticated."}, status=401)
        case 403:
            return document({"message": refused.messages}, status=403)
        case status:
            return error(refused.messages, status=status, payload=refused.payload)


def _without_json(done: Answer) -> Answer:
    """What a caller gets who did not ask for JSON: successes as they are, failures as a browser would (P2)."""
    if done.status == 200 and not done.body.startswith(b'{"status":"error"'):
        return done
    if done.status in {200, 401}:
        headers = done.headers | {"Location": "/login" if done.status == 401 else f"/{BASE[0]}"}
        return Answer(status=302, body=_page("Redirecting"), content_type=HTML_TYPE, headers=headers)
    return replace(done, body=_page(f"Error {done.status}"), content_type=HTML_TYPE)


def _page(title: str) -> bytes:
    return f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>".encode()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
