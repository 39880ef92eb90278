"""The Apex Learning API over HTTP: `create_app` puts the vendor behind the kit's gateway and control plane.

The order of refusals: path of the token apart, token (401), path and verb (404, 405), body (413, 400), record. The
vendor publishes no contract; README.md beside this file states what is simulated, rule by rule (A1 …).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette

from simulators.apex.answers import (
    DONE_CODE,
    PAGE_NUMBER_MAX,
    Refused,
    header_text,
    json_answer,
    only_active,
    page_number,
    refuse_constant,
    result_of,
    without_password,
)
from simulators.apex.batches import Batch
from simulators.apex.people import Done, detail
from simulators.apex.rules import (
    BATCH_ITEMS_MAX,
    HEADINGS,
    KEYS,
    KINDS,
    SYNCHRONOUS_ITEMS_MAX,
    Complaint,
    Kind,
    complaints,
    refuses,
)
from simulators.apex.store import ApexStore
from simulators.apex.switches import ApexSwitches
from simulators.apex.tokens import Tokens
from simulators.kit.gateway import Answer, Call
from simulators.kit.paging import Page
from simulators.kit.staging import Stage, staged
from simulators.kit.switches import Switchboard
from simulators.kit.violations import without_ids

REQUEST_BODY_BYTES_MAX = 4 * 1024 * 1024
EFFECT_IDS_MAX = 50
"""How many keys a journal entry names when one request did several records; the state has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApexConfig:
    """One simulated Apex."""

    client_id: str
    client_secret: str = field(repr=False)
    seed: Any
    """The state to begin with, as README.md describes it."""
    path_prefix: str = ""
    """What stands before the resources, such as `objects` (A4); the token has none."""
    switches: ApexSwitches = field(default_factory=ApexSwitches)
    stage: Stage = field(default_factory=Stage)


def create_app(config: ApexConfig) -> Starlette:
    """Build the application; serve it with `simulators.kit.serve`, which can cut connections."""
    if not config.client_id or not config.client_secret:
        raise ValueError("the client id and the client secret must be there")
    switchboard = Switchboard(config.switches)
    return staged("apex", Apex(config, switchboard), config.stage, switchboard=switchboard)


class Apex:
    """The vendor itself: one call in, one answer out, nothing awaited between."""

    body_bytes_max = REQUEST_BODY_BYTES_MAX

    def __init__(self, config: ApexConfig, switchboard: Switchboard[ApexSwitches]) -> None:
        self._clock = config.stage.clock
        self._switchboard = switchboard
        self._prefix = tuple(part for part in config.path_prefix.split("/") if part)
        self._tokens = Tokens(client_id=config.client_id, client_secret=config.client_secret)
        self._store = ApexStore.from_document(config.seed, now=self._clock())
        self._items_seen = 0  # for A17

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state."""
        return self._store.document()

    def write_state(self, document: Any) -> None:
        """Replace the whole state; tokens stay good."""
        self._store = ApexStore.from_document(document, now=self._clock())

    def close(self) -> None:
        """There is no file to let go of."""

    def page(self, call: Call) -> Page | None:
        """Say which page of which list a call asks for, by its header `page` (A6)."""
        self._store.batches.settle(self._clock(), self._carry_out)
        resource = self._resource(call)
        if call.method != "GET" or resource is None:
            return None
        total = self._list_length(call, resource)
        number = page_number(call)
        if total is None or number is None:
            return None
        size = self._switchboard.now.page_size
        return Page(collection="/".join(resource), offset=(number - 1) * size, limit=size, total=total)

    def refusal(self, status: int, message: str, **more: object) -> Answer:
        """Say no the way this vendor does."""
        return json_answer(status, {"statusCode": status, "message": message, **more})

    def answer(self, call: Call, *, window: slice | None, pretend: bool) -> Answer:
        """Answer one call, and do what it asks unless it is pretended."""
        try:
            if call.segments == ("token",):
                return self._token(call)
            if not self._tokens.lets_in(call.headers.get("authorization", ""), now=self._clock()):
                raise Refused(401, "Access denied due to an invalid or missing token.")  # A1
            resource = self._resource(call)
            if resource is None:
                raise Refused(404, "Resource not found")
            return self._dispatch(call, resource, window=window, pretend=pretend)
        except Refused as refused:
            if refused.rule is not None:
                self._violated(call, refused.rule, str(refused))
            return self.refusal(refused.status, str(refused))

    def _resource(self, call: Call) -> tuple[str, ...] | None:
        if call.segments[: len(self._prefix)] != self._prefix:
            return None
        return call.segments[len(self._prefix) :]

    def _list_length(self, call: Call, resource: tuple[str, ...]) -> int | None:
        by_membership = self._switchboard.now.list_rows == "membership"
        match resource:
            case ("students",):
                return self._store.students.length(by_membership=by_membership)
            case ("staff",):
                return self._store.staff.length(by_membership=by_membership)
            case ("classrooms",) if self._switchboard.now.lists_classrooms:
                return len(self._store.rooms)
            case ("students", user_id, "classrooms") if self._store.students.get(user_id) is not None:
                return len(self._store.rooms.of_student(user_id, only_active=only_active(call)))
        return None

    def _token(self, call: Call) -> Answer:
        if call.method != "POST":
            raise Refused(405, "POST is needed here")
        wrong = self._tokens.wrong_with_request(authorization=call.headers.get("authorization", ""), body=call.body)
        if wrong is not None:
            text, is_breach = wrong
            raise Refused(401, text, rule="A2" if is_breach else None)
        now = self._switchboard.now
        token = self._tokens.give(now=self._clock(), seconds=now.token_seconds)
        return json_answer(
            200, {"access_token": token, "token_type": "bearer", now.token_expiry_key: now.token_seconds}
        )  # A3

    def _dispatch(self, call: Call, resource: tuple[str, ...], *, window: slice | None, pretend: bool) -> Answer:
        match (call.method, *resource):
            case ("GET", "students" | "staff" | "classrooms" as kind):
                answer = self._list(call, kind, window=window)
            case ("GET", "students", user_id, "classrooms"):
                answer = self._list_enrollments(call, user_id, window=window)
            case ("POST", "students" | "staff" | "classrooms" as kind):
                answer = self._create(call, kind, pretend=pretend)
            case ("POST", "students" | "staff" | "classrooms" as kind, "batch"):
                answer = self._take_batch(call, kind, pretend=pretend)
            case ("GET", "students" | "staff" | "classrooms" as kind, "batch", token):
                answer = self._poll(call, kind, token)
            case ("GET" | "PUT" | "DELETE", "students" | "staff" as kind, user_id):
                answer = self._person(call, kind, user_id, pretend=pretend)
            case ("PUT", "students", user_id, "classrooms", old_id):
                answer = self._transfer(call, user_id, old_id, pretend=pretend)
            case (_, "classrooms", room_id, *rest):
                answer = self._classroom(call, room_id, tuple(rest), pretend=pretend)
            case ("GET", "products", program):
                answer = self._products(program)
            case (_, "students" | "staff" | "products", *_):
                raise Refused(405, f"{call.method} is not offered here", rule="A5")
            case _:
                raise Refused(404, "Resource not found")
        return answer

    def _list(self, call: Call, kind: str, *, window: slice | None) -> Answer:
        if kind == "classrooms" and not self._switchboard.now.lists_classrooms:
            raise Refused(405, "a list of classrooms is not offered", rule="A8")  # A8
        if window is None:
            raise Refused(400, f"the header page must be a whole number from 1 to {PAGE_NUMBER_MAX}", rule="A6")
        if kind == "classrooms":
            return self._paged(call, self._store.rooms.page(window))
        people = self._store.students if kind == "students" else self._store.staff
        by_membership = self._switchboard.now.list_rows == "membership"
        return self._paged(call, list(people.rows(window, by_membership=by_membership)))

    def _list_enrollments(self, call: Call, user_id: str, *, window: slice | None) -> Answer:
        if self._store.students.get(user_id) is None:
            raise Refused(404, "Results not found.")
        if window is None:
            raise Refused(400, f"the header page must be a whole number from 1 to {PAGE_NUMBER_MAX}", rule="A6")
        return self._paged(call, self._store.rooms.of_student(user_id, only_active=only_active(call))[window])

    def _paged(self, call: Call, rows: Sequence[object]) -> Answer:
        total = self._list_length(call, self._resource(call) or ()) or 0
        pages = max(1, -(-total // self._switchboard.now.page_size))
        return json_answer(200, rows, headers={"total-pages": str(pages)})

    def _create(self, call: Call, kind: Kind, *, pretend: bool) -> Answer:
        items = self._items(call, kind)
        if len(items) > SYNCHRONOUS_ITEMS_MAX:
            raise Refused(
                400, f"{len(items)} items: at most {SYNCHRONOUS_ITEMS_MAX} at once, use batch", rule="A16"
            )  # A16
        done = [self._create_one(call, kind, item, pretend=pretend) for item in items]
        return self._results(kind, items, done, pretend=pretend)

    def _create_one(self, call: Call | None, kind: Kind, item: Any, *, pretend: bool) -> Done:
        if not isinstance(item, dict):
            return Done(message="an item must be an object", is_refused=True)
        wrong = complaints(item, kind=kind, is_update=False)
        self._record(call, wrong)
        refusing = [each for each in wrong if refuses(each)]
        if refusing:
            return Done(message="; ".join(each.text for each in refusing), is_refused=True)
        now = self._switchboard.now
        self._items_seen += not pretend
        if now.partial_failure_every and self._items_seen % now.partial_failure_every == 0:
            return Done(message="The item could not be processed", is_refused=True)  # A17
        if item.get("ImportUserId") in now.duplicate_users and kind != "classrooms":
            return Done(message="Duplicate user", is_refused=True)  # A18
        if kind == "classrooms":
            return self._store.rooms.put(item, now=self._clock(), pretend=pretend)
        people = self._store.students if kind == "students" else self._store.staff
        return people.put(item, brings_back=not now.archived_stays_archived, pretend=pretend)

    def _take_batch(self, call: Call, kind: Kind, *, pretend: bool) -> Answer:
        items = self._items(call, kind)
        most = BATCH_ITEMS_MAX[kind]
        if len(items) > most:
            raise Refused(400, f"{len(items)} items: a batch holds at most {most}", rule="A16")  # A16
        for item in items:
            self._record(call, complaints(item, kind=kind, is_update=False) if isinstance(item, dict) else [])
        now = self._switchboard.now
        if pretend:
            return json_answer(200, {"BatchStatusToken": "batch-000000"})
        kept = [without_password(item) for item in items]
        batch = self._store.batches.add(
            kind, kept, now=self._clock(), delay_seconds=now.batch_delay_seconds, polls=now.batch_polls
        )
        if batch is None:
            raise Refused(503, "too many batches are waiting")
        return json_answer(200, {"BatchStatusToken": batch.token}, record_id=batch.token)

    def _poll(self, call: Call, kind: Kind, token: str) -> Answer:
        self._store.batches.settle(self._clock(), self._carry_out)
        batch = self._store.batches.poll(kind, token)
        if batch is None:
            raise Refused(404, "Results not found.")
        if batch.results is None:
            batch.polls_left = max(0, batch.polls_left - 1)
            return json_answer(200, {"statusCode": 200, "message": "The batch is still processing"})
        return self._listed(kind, batch.results)

    def _carry_out(self, batch: Batch) -> list[dict[str, Any]]:
        kind: Kind = next(each for each in KINDS if each == batch.kind)
        done = [self._create_one(None, kind, item, pretend=False) for item in batch.items]
        self._store.remember(done)
        return [result_of(kind, item, each) for item, each in zip(batch.items, done, strict=True)]

    def _person(self, call: Call, kind: str, user_id: str, *, pretend: bool) -> Answer:
        people = self._store.students if kind == "students" else self._store.staff
        sent_id = call.headers.get("importuserid")
        if sent_id is not None and header_text(sent_id) != user_id:
            raise Refused(400, "the header importUserId must name the person of the path", rule="A9")
        if call.method == "GET":
            person = people.get(user_id)
            if person is None:
                raise Refused(404, "Results not found.")
            return json_answer(200, detail(person))
        if call.method == "DELETE":
            org_id = call.headers.get("orgid")
            if sent_id is None or org_id is None:
                raise Refused(400, "the headers importUserId and orgId are needed", rule="A9")  # A9
            return self._single("students", user_id, people.archive(user_id, org_id, pretend=pretend), pretend=pretend)
        body = self._object(call)
        refusing = self._refusing(call, body, kind="students" if kind == "students" else "staff")
        done = Done(message=refusing, is_refused=True) if refusing else None
        if done is None:
            brings_back = not self._switchboard.now.archived_stays_archived
            done = people.change(user_id, body, brings_back=brings_back, pretend=pretend)
        return self._single("students", user_id, done, pretend=pretend)

    def _classroom(self, call: Call, room_id: str, rest: tuple[str, ...], *, pretend: bool) -> Answer:
        rooms = self._store.rooms
        room = rooms.get(room_id)
        match (call.method, *rest):
            case ("GET",) | ("PUT",) | ("POST", "students" | "staff" | "copy") | ("DELETE", "students", _):
                pass
            case ("GET", "reports") | ("GET", "students", _, "reports"):
                pass
            case _:
                raise Refused(405, f"{call.method} is not offered here", rule="A5")
        if room is None:
            raise Refused(404, "Results not found.")
        match (call.method, *rest):
            case ("GET",):
                return json_answer(200, rooms.shown(room))
            case ("PUT",):
                body = self._object(call)
                refusing = self._refusing(call, body, kind="classrooms")
                done = Done(message=refusing, is_refused=True) if refusing else None
                done = done or rooms.change(room_id, body, pretend=pretend)
                return self._single("classrooms", room_id, done, pretend=pretend)
            case ("POST", "copy"):
                return self._copy(call, room_id, pretend=pretend)
            case ("POST", "students" | "staff" as kind):
                return self._enroll(call, room_id, kind, pretend=pretend)
            case ("DELETE", "students", user_id):
                done = rooms.withdraw(room_id, user_id, pretend=pretend)
                return self._single("students", user_id, done, pretend=pretend)
            case (_, *_):
                user = rest[1] if len(rest) == 3 else None
                rows = rooms.reports(room_id, user)
                return json_answer(200, rows) if rows else Answer(status=204)  # A29
        raise AssertionError("every path is matched above")

    def _copy(self, call: Call, room_id: str, *, pretend: bool) -> Answer:
        body = self._object(call)
        if not isinstance(body.get("ImportClassroomId"), str) or not body["ImportClassroomId"]:
            raise Refused(400, "ImportClassroomId of the copy is required", rule="A28")
        named = {name: value for name, value in body.items() if name != "ImportClassroomId"}
        refusing = self._refusing(call, named, kind="classrooms")
        done = Done(message=refusing, is_refused=True) if refusing else None
        done = done or self._store.rooms.copy(room_id, body, now=self._clock(), pretend=pretend)
        return self._single("classrooms", body["ImportClassroomId"], done, pretend=pretend)

    def _enroll(self, call: Call, room_id: str, kind: Kind, *, pretend: bool) -> Answer:
        items = self._json_body(call)
        if not isinstance(items, list) or not 1 <= len(items) <= SYNCHRONOUS_ITEMS_MAX:
            raise Refused(400, f"the body must be a list of 1 to {SYNCHRONOUS_ITEMS_MAX} people", rule="A25")
        done: list[Done] = []
        for item in items:
            match item:
                case {"ImportUserId": str(user_id), "ImportOrgId": str(org_id), **more} if more.keys() <= {"IsPrimary"}:
                    is_primary = str(more.get("IsPrimary", False)).lower() == "true"
                    done.append(
                        self._enroll_one(room_id, user_id, org_id, kind, is_primary=is_primary, pretend=pretend)
                    )
                case _:
                    text = "an item needs ImportUserId and ImportOrgId, may have IsPrimary, and nothing else"
                    self._violated(call, "A25", text)
                    done.append(Done(message=text, is_refused=True))
        return self._results(kind, items, done, pretend=pretend)

    def _enroll_one(
        self, room_id: str, user_id: str, org_id: str, kind: Kind, *, is_primary: bool, pretend: bool
    ) -> Done:
        rooms = self._store.rooms
        if kind == "staff":
            return rooms.add_staff(room_id, user_id, org_id, is_primary=is_primary, pretend=pretend)
        no_orders = self._switchboard.now.orders_exhausted
        return rooms.enroll(room_id, user_id, org_id, no_orders=no_orders, now=self._clock(), pretend=pretend)

    def _transfer(self, call: Call, user_id: str, old_id: str, *, pretend: bool) -> Answer:
        new_id, org_id = call.query.get("newClassroomID"), call.query.get("toOrgId")
        if not new_id or not org_id:
            raise Refused(400, "newClassroomID and toOrgId are needed", rule="A27")
        if self._store.rooms.get(old_id) is None or self._store.rooms.get(new_id) is None:
            raise Refused(404, "Results not found.")
        done = self._store.rooms.transfer(
            user_id,
            old_id=old_id,
            new_id=new_id,
            org_id=org_id,
            no_orders=self._switchboard.now.orders_exhausted,
            now=self._clock(),
            pretend=pretend,
        )
        return self._single("students", user_id, done, pretend=pretend)

    def _products(self, program: str) -> Answer:
        found = [each for each in self._store.products.values() if each["ProgramCode"] == program]
        if not found:
            raise Refused(404, "Results not found.")
        return json_answer(200, {"ProgramCode": program, "Products": found})  # A30

    def _items(self, call: Call, kind: Kind) -> list[Any]:
        body = self._json_body(call)
        items = body.get(HEADINGS[kind]) if isinstance(body, dict) and len(body) == 1 else None
        if not isinstance(items, list) or not items:
            raise Refused(400, f"the body must be an object with a list under {HEADINGS[kind]} alone", rule="A13")
        return items

    def _object(self, call: Call) -> dict[str, Any]:
        body = self._json_body(call)
        if not isinstance(body, dict):
            raise Refused(400, "the body must be an object", rule="A19")
        return body

    def _json_body(self, call: Call) -> Any:
        if call.is_body_too_large:
            raise Refused(413, f"the body is over {REQUEST_BODY_BYTES_MAX} bytes", rule="A31")
        try:
            return json.loads(call.body, parse_constant=refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "the body is not JSON", rule="A31") from error

    def _refusing(self, call: Call, body: dict[str, Any], *, kind: Kind) -> str:
        wrong = complaints(body, kind=kind, is_update=True)
        self._record(call, wrong)
        return "; ".join(each.text for each in wrong if refuses(each))

    def _record(self, call: Call | None, wrong: Sequence[Complaint]) -> None:
        # A batch was recorded when it was posted; carrying it out says nothing new.
        for each in wrong if call is not None else ():
            if each.rule is not None and call is not None:
                self._violated(call, each.rule, each.text)

    def _violated(self, call: Call, rule: str, text: str) -> None:
        path = without_ids(call.segments, behind=("students", "staff"), shown="{ImportUserId}", words=("batch",))
        self._store.violations.add(rule, method=call.method, path=path, text=text)

    def _single(self, kind: Kind, key: str, done: Done, *, pretend: bool) -> Answer:
        result = result_of(kind, {KEYS[kind]: key}, done)
        if done.is_refused:
            return json_answer(400, result)
        if not pretend:
            self._store.remember([done])
        effect = "none" if pretend else done.effect
        return json_answer(200, result, effect=effect, external_id=done.external_id)

    def _results(self, kind: Kind, items: Sequence[Any], done: Sequence[Done], *, pretend: bool) -> Answer:
        results = [result_of(kind, item, each) for item, each in zip(items, done, strict=True)]
        if pretend:
            return self._listed(kind, results)
        self._store.remember(done)
        effective = [each for each in done if each.effect.startswith(("created ", "updated ", "deleted "))]
        effect, external_id = "none", None
        if len(effective) == 1:
            effect, external_id = effective[0].effect, effective[0].external_id
        elif effective:
            effect = "created " + ", ".join(str(each.external_id) for each in effective[:EFFECT_IDS_MAX])
        return self._listed(kind, results, effect=effect, external_id=external_id)

    def _listed(
        self, kind: Kind, results: Sequence[dict[str, Any]], *, effect: str = "none", external_id: str | None = None
    ) -> Answer:
        now = self._switchboard.now
        heading = HEADINGS[kind] if now.result_heading == "post" else "Users"
        has_refused = any(each["Code"] != DONE_CODE for each in results)
        status = int(now.multi_status) if has_refused else 200  # A14
        return json_answer(status, {heading: results}, effect=effect, external_id=external_id)
