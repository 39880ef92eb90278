"""Klaxon Alerts over HTTP: `create_app` puts the vendor behind the kit's gateway and control plane.

A fictitious vendor in the form of the notification systems that are publicly described; README.md beside this file
states its rules by number. The order of refusals: rate (429), proof (401), path and verb (404), query (400),
organization (403, 404), body (415, 400, 424), record (404, 409).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette

from simulators.alerts.batches import Batch, Batches, do_items
from simulators.alerts.lists import PARAMETERS, BadPageError, asked, listed
from simulators.alerts.proof import Doorkeeper
from simulators.alerts.rates import Rates
from simulators.alerts.rules import READ_ONLY, WRITABLE, BadBodyError, UnknownCodeError
from simulators.alerts.store import AlertStore, Contact, DuplicateExternalIdError, Organization
from simulators.alerts.switches import AlertsSwitches
from simulators.kit.faults import WRITING_METHODS
from simulators.kit.gateway import Answer, Call
from simulators.kit.paging import Page
from simulators.kit.staging import Stage, staged
from simulators.kit.switches import Switchboard
from simulators.kit.violations import Violations

REQUEST_BODY_BYTES_MAX = 4 * 1024 * 1024
TOKEN_PATH = ("authorization", "v1", "tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsConfig:
    """One simulated Klaxon Alerts."""

    client_id: str
    """Also the user of Basic."""
    client_secret: str = field(repr=False)
    """Also the password of Basic."""
    api_key: str = field(repr=False)
    bearer_token: str = field(repr=False)
    """The fixed token of auth `bearer`."""
    seed: Any
    """The state to begin with, as README.md describes it."""
    switches: AlertsSwitches = field(default_factory=AlertsSwitches)
    stage: Stage = field(default_factory=Stage)


def create_app(config: AlertsConfig) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`, which can cut connections."""
    if not all((config.client_id, config.client_secret, config.api_key, config.bearer_token)):
        raise ValueError("client id, client secret, key and bearer token must all be there")
    switchboard = Switchboard(config.switches)
    return staged("alerts", KlaxonAlerts(config, switchboard), config.stage, switchboard=switchboard)


class _Refused(Exception):
    """The vendor says no; `rule` is the rule the caller broke, where it broke one."""

    def __init__(self, status: int, message: str, *, rule: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.rule = rule


@dataclass(frozen=True, slots=True)
class _List:
    """A list that can be paged."""

    name: str
    total: int
    items: Callable[[slice], Sequence[object]]


class KlaxonAlerts:
    """The vendor itself: one call in, one answer out, nothing awaited between."""

    body_bytes_max = REQUEST_BODY_BYTES_MAX

    def __init__(self, config: AlertsConfig, switchboard: Switchboard[AlertsSwitches]) -> None:
        self._stage = config.stage
        self._switchboard = switchboard
        self._store = AlertStore.from_document(config.seed, now=config.stage.clock())
        self._batches = Batches()
        self._violations = Violations()
        self._rates = Rates(clock=config.stage.clock, monotonic=config.stage.monotonic)
        self._doorkeeper = Doorkeeper(
            client_id=config.client_id,
            client_secret=config.client_secret,
            api_key=config.api_key,
            bearer_token=config.bearer_token,
            monotonic=config.stage.monotonic,
        )

    @property
    def _now(self) -> AlertsSwitches:
        return self._switchboard.now

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state, with the breaches so far."""
        return self._store.document() | {"violations": self._violations.document()}

    def write_state(self, document: Any) -> None:
        """Replace the whole state; breaches are kept only where the document holds them."""
        seed = document
        breaches: Any = []
        if isinstance(document, dict):
            seed = {name: value for name, value in document.items() if name != "violations"}
            breaches = document.get("violations", [])
        store = AlertStore.from_document(seed, now=self._stage.clock())
        violations = Violations.from_document(breaches)
        self._violations = violations
        self._store = store
        self._batches = Batches()

    def close(self) -> None:
        """Let go of nothing: the state is in memory."""

    def page(self, call: Call) -> Page | None:
        """Say which page of which list a call asks for."""
        try:
            found = self._list_of(call) if call.method == "GET" else None
            return self._page(call, found) if found is not None else None
        except _Refused:
            return None

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no the way this vendor does."""
        return _json(status, {"message": message, **more})

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Answer one call, and do what it asks unless it is pretended."""
        try:
            done = self._dispatch(call, window=window, pretend=pretend)
        except _Refused as refused:
            if refused.rule is not None:
                self._breach(call, refused.rule, str(refused))
            if self._now.is_refusal_a_success and refused.status in {400, 404, 409, 424}:  # K22
                return _json(200, {"ok": False, "code": refused.status, "message": str(refused)})
            return self.refusal(refused.status, str(refused))
        return done

    def _dispatch(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        if call.segments == TOKEN_PATH:
            if call.method != "POST":
                raise _Refused(404, "no such operation", rule="K7")
            done, rule = self._doorkeeper.give_token(call, self._now, pretend=pretend)
            if rule is not None:
                self._breach(call, rule, f"token request answered {done.status}")
            return done
        if not self._rates.admits(self._now.tier, is_write=call.method in WRITING_METHODS):
            return self.refusal(429, "rate limit exceeded")  # K30: no header says when to come back
        if not self._doorkeeper.may_enter(call, self._now):
            raise _Refused(401, "the caller is not known")  # K6
        found = self._list_of(call) if call.method == "GET" else None
        if found is not None:
            return self._answer_list(call, found, window)
        return self._operate(call, pretend=pretend)

    def _operate(self, call: Call, *, pretend: bool) -> Answer:
        now = self._now
        match call.method, call.segments:
            case "GET", ("v1", "contacts", key) if key:
                done = self._ok(200, self._contact(call, self._organization(call), key))
            case "GET", ("v1", "batches", batch_id) if batch_id and now.batch == "token":
                done = self._answer_batch(call, batch_id)
            case "POST", ("v1", "contacts"):
                done = self._create(call, pretend=pretend)
            case "POST", ("v1", "contacts", "batch") if now.batch != "none":
                done = self._do_batch(call, pretend=pretend)
            case "PUT" | "PATCH" as verb, ("v1", "contacts", key) if now.update in ("both", verb.lower()):
                done = self._update(call, key, is_partial=verb == "PATCH", pretend=pretend)
            case "DELETE", ("v1", "contacts", key) if now.removal == "delete":
                done = self._delete(call, key, pretend=pretend)
            case _:
                raise _Refused(404, "no such operation", rule="K7")
        return done

    def _list_of(self, call: Call) -> _List | None:
        match call.segments:
            case ("v1", "recordTypes"):
                items = self._store.record_type_items()
                self._organization(call)
            case ("v1", "deliveryPaths"):
                items = self._store.delivery_path_items()
                self._organization(call)
            case ("v1", "contacts"):
                organization = self._organization(call)
                if "externalId" not in call.query:
                    return _List(
                        f"contacts of {organization.id}",
                        len(organization.ids),
                        lambda window: self._store.page(organization, window),
                    )
                found = self._store.get_by_external_id(organization, call.query["externalId"])
                items = [found] if found is not None else []
                return _List(f"contacts of {organization.id} by key", len(items), lambda window: items[window])
            case _:
                return None
        return _List(call.segments[1], len(items), lambda window: items[window])

    def _page(self, call: Call, found: _List) -> Page:
        try:
            offset, limit = asked(call, self._now, total=found.total)
        except BadPageError as error:
            raise _Refused(400, str(error), rule="K16") from error
        return Page(collection=found.name, offset=offset, limit=limit, total=found.total)

    def _answer_list(self, call: Call, found: _List, window: slice | None) -> Answer:
        page = self._page(call, found)
        if window is None:
            raise AssertionError("a well-formed list request has a window")
        known = PARAMETERS[self._now.paging] | {"organizationId", "externalId"}
        if strange := sorted(call.query.keys() - known):
            self._breach(call, "K17", f"ignored: {', '.join(strange)}"[:200])
        document, headers = listed(call, self._now, page=page, window=window, items=found.items(window))
        if isinstance(document, dict) and self._now.is_refusal_a_success:
            document = {"ok": True} | document
        return Answer(status=200, body=_encoded(document), headers=headers)

    def _organization(self, call: Call) -> Organization:
        text = call.query.get("organizationId", "")  # K8
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise _Refused(400, "organizationId must be in the query, as a number", rule="K8")
        organization = self._store.organizations.get(int(text))
        if organization is None:
            raise _Refused(404, "no such organization")
        if not organization.is_granted:
            raise _Refused(403, "the caller may not use this organization")
        return organization

    def _contact(self, call: Call, organization: Organization, key: str) -> Contact:
        match call.query.get("idType", "id"):
            case "externalId" if call.method == "GET":
                contact = self._store.get_by_external_id(organization, key)
            case "id":
                is_number = key.isascii() and key.isdigit() and len(key) <= 18
                contact = self._store.get(organization, int(key)) if is_number else None
            case _:
                raise _Refused(400, "idType must be id, or externalId to read", rule="K9")
        if contact is None:
            raise _Refused(404, "no such contact")
        return contact

    def _create(self, call: Call, *, pretend: bool) -> Answer:
        organization = self._organization(call)
        body = self._checked_body(call, organization, is_partial=False)
        try:
            contact = self._store.create(organization, body, now=self._stage.clock(), pretend=pretend)
        except DuplicateExternalIdError as error:
            raise _Refused(409, str(error)) from error  # K24
        return self._ok(201, contact, effect="none" if pretend else f"created {contact['id']}")

    def _update(self, call: Call, key: str, *, is_partial: bool, pretend: bool) -> Answer:
        organization = self._organization(call)
        body = self._checked_body(call, organization, is_partial=is_partial)
        before = self._contact(call, organization, key)
        try:
            after, changed = self._store.update(
                organization, before, body, is_partial=is_partial, now=self._stage.clock(), pretend=pretend
            )
        except DuplicateExternalIdError as error:
            raise _Refused(409, str(error)) from error
        number = before["id"]
        effect = f"updated {number} [{', '.join(changed)}]" if changed else f"unchanged {number}"
        return self._ok(200, after, effect="none" if pretend else effect)

    def _delete(self, call: Call, key: str, *, pretend: bool) -> Answer:
        organization = self._organization(call)
        contact = self._contact(call, organization, key)
        if not pretend:
            self._store.delete(organization, contact)
        return self._ok(200, contact, effect="none" if pretend else f"deleted {contact['id']}", shown=None)

    def _do_batch(self, call: Call, *, pretend: bool) -> Answer:
        organization = self._organization(call)
        document = self._json_body(call)
        items = document.get("items") if isinstance(document, dict) and document.keys() == {"items"} else None
        most = self._now.batch_items_max
        if not isinstance(items, list) or not 1 <= len(items) <= most:
            raise _Refused(400, f"a batch holds items, 1 to {most} of them", rule="K40")
        items = [self._known_fields(call, organization, item) if isinstance(item, dict) else item for item in items]
        results, effects = do_items(self._store, organization, items, now=self._stage.clock(), pretend=pretend)
        due_at = self._stage.monotonic() + self._now.batch_seconds
        batch_id = self._batches.keep(Batch(organization_id=organization.id, results=results, due_at=due_at))
        # The journal has one effect for one request: those of a batch are joined in it.
        effect = "; ".join(each for each in effects if each != "none") or "none"
        if self._now.batch == "sync":
            body: dict[str, Any] = {"message": "OK", "results": results}
            return Answer(status=200, body=self._encoded_ok(body), effect=effect, record_id=batch_id)
        body = {"message": "Accepted", "batchId": batch_id}
        return Answer(status=202, body=self._encoded_ok(body), effect=effect, record_id=batch_id)

    def _answer_batch(self, call: Call, batch_id: str) -> Answer:
        organization = self._organization(call)
        batch = self._batches.get(batch_id)
        if batch is None or batch.organization_id != organization.id:
            raise _Refused(404, "no such batch")
        if self._stage.monotonic() < batch.due_at:
            return Answer(status=200, body=self._encoded_ok({"message": "OK", "state": "pending"}))
        body = {"message": "OK", "state": "done", "results": batch.results}
        return Answer(status=200, body=self._encoded_ok(body))

    def _checked_body(self, call: Call, organization: Organization, *, is_partial: bool) -> dict[str, Any]:
        document = self._json_body(call)
        if not isinstance(document, dict):
            raise _Refused(400, "the body must be an object", rule="K19")
        body = self._known_fields(call, organization, document)
        try:
            self._store.check(body, is_partial=is_partial)
        except BadBodyError as error:
            raise _Refused(400, str(error)) from error
        except UnknownCodeError as error:
            raise _Refused(424, str(error)) from error  # K25
        return body

    def _json_body(self, call: Call) -> Any:
        if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise _Refused(415, "the body must be application/json", rule="K18")
        if call.is_body_too_large:
            raise _Refused(400, f"the body is over {REQUEST_BODY_BYTES_MAX} bytes", rule="K19")
        try:
            return json.loads(call.body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise _Refused(400, "the body is not JSON", rule="K19") from error

    def _known_fields(self, call: Call, organization: Organization, body: dict[str, Any]) -> dict[str, Any]:
        """Leave only what may be written; what the vendor gives itself may come along, and has no effect."""
        if body.get("organizationId", organization.id) != organization.id:
            raise _Refused(400, "organizationId is not the one of the query", rule="K8")
        strange = sorted(body.keys() - {*WRITABLE, *READ_ONLY})
        if strange:
            text = f"no field of a contact: {', '.join(strange)}"[:200]
            if self._now.unknown_fields == "refuse":
                raise _Refused(400, text, rule="K20")
            self._breach(call, "K20", text)
        return {name: value for name, value in body.items() if name in WRITABLE}

    def _ok(self, status: int, contact: Contact, *, effect: str = "none", shown: object = ...) -> Answer:
        result = contact if shown is ... else shown
        document = {"message": "OK", "id": contact["id"]} | ({"result": result} if result is not None else {})
        return Answer(
            status=status,
            body=self._encoded_ok(document),
            effect=effect,
            external_id=contact["externalId"],
            record_id=str(contact["id"]),
        )

    def _encoded_ok(self, document: dict[str, Any]) -> bytes:
        return _encoded({"ok": True} | document if self._now.is_refusal_a_success else document)

    def _breach(self, call: Call, rule: str, text: str) -> None:
        # Keys of people stay out: only the collection is kept.
        self._violations.add(rule, method=call.method, path="/" + "/".join(call.segments[:2]), text=text)


def _encoded(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _json(status: int, document: object) -> Answer:
    return Answer(status=status, body=_encoded(document))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
