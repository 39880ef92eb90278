"""The Directory API over HTTP: `create_app` puts the vendor behind the kit's gateway and control plane.

The vendor's order of refusals: path (404), token (401), rate of the subject (403), switched refusals, scope and
privilege (403), parameters and body (400), rates of creations (503, 403), then what the resource says. README.md beside
this file states every rule.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from starlette.applications import Starlette

from simulators.google_directory import batch, custom, groups, members, units, users
from simulators.google_directory.asking import Ask, Result
from simulators.google_directory.checks import checked_body, checked_query
from simulators.google_directory.errors import REASONS, Refused, error_document
from simulators.google_directory.keys import ServiceAccount
from simulators.google_directory.masks import mask_of, masked
from simulators.google_directory.memory import CallRecord
from simulators.google_directory.methods import BASE, METHODS, SCOPE_BASE, Method, find
from simulators.google_directory.oauth import Access, NoToken, TokenDesk, own_token_address
from simulators.google_directory.quota import Quota
from simulators.google_directory.seed import directory_of, document_of
from simulators.google_directory.switches import GoogleSwitches
from simulators.google_directory.views import list_document
from simulators.google_directory.walks import Walk, Walks, asked_for
from simulators.kit.gateway import Answer, Call
from simulators.kit.paging import Page
from simulators.kit.staging import Stage, staged
from simulators.kit.switches import Switchboard

REQUEST_BODY_BYTES_MAX = 8 * 1024 * 1024
JSON = "application/json; charset=UTF-8"
BATCH_PATHS = (("batch",), ("batch", "admin", "directory_v1"))
_RESOURCES: dict[str, ModuleType] = {
    "users": users,
    "groups": groups,
    "members": members,
    "orgunits": units,
    "schemas": custom,
}
_LISTS = {
    "users.list": ("users", "users"),
    "groups.list": ("groups", "groups"),
    "members.list": ("members", "members"),
    "orgunits.list": ("orgUnits", "organizationUnits"),
}
"""Methods whose answers are pages: the kind and the array of each."""
_FAULT_REASONS = {
    401: "authError",
    402: "limitExceeded",
    404: "notFound",
    413: "requestTooLarge",
    429: "rateLimitExceeded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleConfig:
    """One simulated Google account."""

    seed: Any
    """The state to begin with, as README.md describes it."""
    accounts: tuple[ServiceAccount, ...] = field(repr=False)
    """Who may get tokens."""
    switches: GoogleSwitches = field(default_factory=GoogleSwitches)
    stage: Stage = field(default_factory=Stage)


def create_app(config: GoogleConfig) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`, which can cut connections."""
    if not config.accounts:
        raise ValueError("at least one service account is needed, or nobody could ever get a token")
    switchboard = Switchboard(config.switches)
    return staged("google_directory", Google(config, switchboard), config.stage, switchboard=switchboard)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A list call with the stretch of its walk it asks for."""

    call: Call
    walk: Walk
    offset: int
    limit: int


class Google:
    """The vendor itself: one call in, one answer out, nothing awaited between."""

    body_bytes_max = REQUEST_BODY_BYTES_MAX

    def __init__(self, config: GoogleConfig, switchboard: Switchboard[GoogleSwitches]) -> None:
        self._clock = config.stage.clock
        self._switchboard = switchboard
        self._directory = directory_of(config.seed)
        self._walks = Walks()
        self._memory = CallRecord()
        self._quota = Quota(monotonic=config.stage.monotonic)
        self._desk = TokenDesk(accounts=config.accounts, clock=self._clock, find_subject=self._find_subject)
        self._part: _Part | None = None
        self._batches = 0

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state."""
        self._directory.forget_expired(now=self._clock())
        return document_of(self._directory) | self._memory.document()

    def write_state(self, document: Any) -> None:
        """Replace the whole state; tokens stay good, walks end."""
        directory = directory_of(document)
        self._memory = CallRecord.from_document(document)
        self._directory, self._walks = directory, Walks()

    def close(self) -> None:
        """Nothing is held."""

    def page(self, call: Call) -> Page | None:
        """Say which page of which list a call asks for."""
        self._part = None
        found = find(call.method, call.segments)
        if found is None or found[0].name not in _LISTS:
            return None
        try:
            part = self._part = self._part_of(call, self._ask(call, *found, pretend=True))
        except Refused:
            return None
        name = "/".join((found[0].name, *found[1].values()))
        return Page(collection=name, offset=part.offset, limit=part.limit, total=len(part.walk.ids))

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no the way this vendor does, for the kit's faults (Q5)."""
        if more.get("reason") == "quota":
            reason: str = self._switchboard.now.quota_reason
        else:
            reason = _FAULT_REASONS.get(status, "backendError")
        code, domain, text = REASONS[reason]
        code = status if reason == "backendError" else code
        return _json(code, error_document(code=code, reason=reason, message=text, domain=domain))

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Answer one call, and do what it asks unless it is pretended."""
        if call.segments == ("token",):
            return self._token(call)
        if call.segments in BATCH_PATHS:
            return self._batch(call, pretend=pretend)
        return self._api(call, window=window, pretend=pretend)

    def _token(self, call: Call) -> Answer:
        try:
            if call.method != "POST" or "x-www-form-urlencoded" not in call.headers.get("content-type", ""):
                raise NoToken("invalid_request", "A form must be posted.", rule="A1")
            own = own_token_address(call.headers.get("host", ""))
            return _json(200, self._desk.exchange(call.body, own_address=own, switches=self._switchboard.now))
        except NoToken as refused:
            if refused.rule:
                self._memory.violated(refused.rule, method="token", path="/token", text=str(refused))
            return _json(refused.code, refused.document)

    def _batch(self, call: Call, *, pretend: bool) -> Answer:
        try:
            if call.method != "POST":
                raise Refused("notFound", "Not Found", rule="C1")
            if call.is_body_too_large:
                raise Refused("requestTooLarge", rule="B1")
            inner = batch.inner_calls(call)
        except Refused as refused:
            self._violated(refused, method="batch", path="/batch")
            return _json(refused.code, refused.document())
        self._batches += 1
        answers: list[tuple[str, Answer]] = []
        effects: list[str] = []
        for item in inner:
            answer = self._api(item.call, window=None, pretend=pretend)
            answers.append((item.content_id, answer))
            effects += [answer.effect] if answer.effect.startswith(("created ", "updated ", "deleted ")) else []
            self._memory.batch_effects.append(
                {
                    "batch": f"batch-{self._batches}",
                    "method": item.call.method,
                    "path": item.call.path,
                    "status": answer.status,
                    "effect": answer.effect,
                    "external_id": answer.external_id,
                    "record_id": answer.record_id,
                }
            )
        body, content_type = batch.answer_of(answers, number=self._batches)
        record_id = f"batch-{self._batches}"
        # The journal has one line for the whole batch; what each call did is under batchEffects in the state (B4).
        effect = f"updated {record_id} [{'; '.join(effects)}]" if effects else "none"
        return Answer(status=200, body=body, content_type=content_type, effect=effect, record_id=record_id)

    def _api(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        found = find(call.method, call.segments)
        if found is None:
            known = {method.template[0] for method in METHODS}
            resource = "".join(call.segments[len(BASE) : len(BASE) + 1])
            path = "/".join(("", *BASE, resource if resource in known else "…", "…"))
            self._memory.violated("C1", method=call.method, path=path, text="no such method")
            return _json(404, Refused("notFound", "Not Found").document())
        method, keys = found
        try:
            answer = self._admitted(call, method, keys, window=window, pretend=pretend)
        except Refused as refused:
            self._violated(refused, method=method.name, path=method.path)
            answer = _json(refused.code, refused.document())
        if self._switchboard.now.keep_requests:
            self._memory.requests.append(_request(call, method, status=answer.status))
        return answer

    def _admitted(
        self, call: Call, method: Method, keys: dict[str, str], *, window: slice | None, pretend: bool
    ) -> Answer:
        access = self._authorise(call)
        self._quota.admit_call(subject=access.subject, switches=self._switchboard.now)
        self._allow(method, access)
        ask = self._ask(call, method, keys, pretend=pretend)
        domain = str(ask.body.get("primaryEmail", "")).rpartition("@")[2].lower()
        self._quota.admit_write(method, domain=domain, switches=ask.switches)
        self._check_match(call, ask)
        mask = mask_of(call.query["fields"]) if "fields" in call.query else {}
        result = self._list(call, ask, window) if method.name in _LISTS else _handler(method)(ask)
        if result.document is None:
            return Answer(status=204, effect=result.effect, external_id=result.external_id, record_id=result.record_id)
        answer = _json(result.code, masked(result.document, mask))
        return replace(answer, effect=result.effect, external_id=result.external_id, record_id=result.record_id)

    def _authorise(self, call: Call) -> Access:
        """Find out on whose behalf a call comes (A8)."""
        access = self._desk.access(call.headers.get("authorization", ""))
        if access is None:
            raise Refused("authError")
        return access

    def _allow(self, method: Method, access: Access) -> None:
        """Refuse what the scopes (A9) or the privileges of the subject (A10) do not cover."""
        if not access.scopes & {SCOPE_BASE + scope for scope in method.scopes}:
            raise Refused("insufficientPermissions")
        user = self._directory.users.get(access.subject)
        if user is None or user.suspended:
            raise Refused("forbidden")
        if not user.is_admin and method.resource not in self._directory.admin_roles.get(user.email.lower(), ()):
            raise Refused("forbidden")

    def _ask(self, call: Call, method: Method, keys: dict[str, str], *, pretend: bool) -> Ask:
        switches = self._switchboard.now
        return Ask(
            method=method,
            keys=keys,
            query=checked_query(call, method, switches=switches),
            body=checked_body(call, method),
            now=self._clock(),
            switches=switches,
            directory=self._directory,
            pretend=pretend,
            note=lambda rule, text: self._memory.violated(rule, method=method.name, path=method.path, text=text),
        )

    def _check_match(self, call: Call, ask: Ask) -> None:
        wanted = call.headers.get("if-match")
        if wanted is None or ask.switches.if_match == "ignored" or ask.verb not in {"update", "patch", "delete"}:
            return
        get = next((method for method in METHODS if method.name == f"{ask.method.resource}.get"), None)
        if get is not None and ask.method.name.count(".") == 1:
            document = _handler(get)(replace(ask, method=get, query={}, body={})).document or {}
            if wanted not in {"*", document.get("etag")}:
                raise Refused("conditionNotMet")

    def _part_of(self, call: Call, ask: Ask) -> _Part:
        """Find the walk of a list call and where in it the call stands."""
        asked = asked_for(ask.method.name, ask.keys, ask.query)
        if "pageToken" in ask.query:
            walk, offset = self._walks.resume(
                ask.query["pageToken"], asked, now=ask.now, seconds_max=ask.switches.page_token_seconds
            )
        else:
            walk, offset = self._walks.start(asked, _RESOURCES[ask.method.resource].listed_ids(ask)), 0
        most = ask.method.parameters.get("maxResults")
        limit = int(ask.query.get("maxResults", most.default)) if most is not None else max(1, len(walk.ids))
        return _Part(call=call, walk=walk, offset=offset, limit=limit)

    def _list(self, call: Call, ask: Ask, window: slice | None) -> Result:
        part = self._part if self._part is not None and self._part.call is call else self._part_of(call, ask)
        walk, offset, limit = part.walk, part.offset, part.limit
        window = window if window is not None else slice(offset, offset + limit)
        ids = walk.ids[window]
        listed = _RESOURCES[ask.method.resource].listed
        items = [document for record_id in ids if (document := listed(ask, record_id)) is not None]
        document = list_document(*_LISTS[ask.method.name], items, switches=ask.switches)
        if max(window.start, offset) + limit < len(walk.ids):
            # After a short page the kit shifts what follows; after a repeated one nothing is shifted.
            following = offset + limit if window.start < offset else offset + len(ids)
            document["nextPageToken"] = self._walks.token(walk, offset=following, now=ask.now)
        return Result(document=document)

    def _find_subject(self, address: str) -> str | None:
        user = self._directory.find_user(address, now=self._clock(), rename_settling=0.0)
        return user.id if user is not None and not user.suspended and "@" in address else None

    def _violated(self, refused: Refused, *, method: str, path: str) -> None:
        if refused.rule:
            self._memory.violated(refused.rule, method=method, path=path, text=f"{refused.reason}: {refused.message}")


def _handler(method: Method) -> Callable[[Ask], Result]:
    if ".aliases." in method.name:
        return groups.aliases
    handler: Callable[[Ask], Result] = _RESOURCES[method.resource].answer
    return handler


def _request(call: Call, method: Method, *, status: int) -> dict[str, Any]:
    body = None
    if call.body:
        try:
            body = json.loads(call.body)
        except (ValueError, RecursionError):
            body = call.body.decode("utf-8", errors="replace")
    return {
        "name": method.name,
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "body": body,
        "status": status,
    }


def _json(status: int, document: object) -> Answer:
    return Answer(status=status, body=json.dumps(document, separators=(",", ":")).encode(), content_type=JSON)
