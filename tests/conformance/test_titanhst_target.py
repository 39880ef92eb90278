"""TitanHST as a target: for each thing that can happen to a write, is it told apart from not done and refused?"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio

from shared.errors import (
    AetherError,
    NeedsPerson,
    OutcomeUnknown,
    RecordRefused,
    StopRun,
    TargetMoved,
    TryLater,
)
from shared.ports.connections import Connection
from shared.ports.pacing import Allowance
from shared.ports.surroundings import Surroundings
from shared.ports.system import Target
from shared.ports.wire import WireWrite
from shared.secrets import Secret
from tests.conformance.fake_titanhst import HTML, READ_TOKEN, WRITE_TOKEN, FakeTitanhst, Reply, as_json, contact
from tests.conformance.recording_pacer import RecordingPacer
from tests.support.systems import installed_systems

TOKENS = {"env:READ": READ_TOKEN, "env:WRITE": WRITE_TOKEN}
REGISTRY = installed_systems(surroundings=Surroundings(resolve=lambda reference: Secret(TOKENS[reference])))
QUOTA = as_json(403, {"message": "m", "reason": "quota"}, Retry_After="30")
WIRE = REGISTRY.wire("titanhst")
UPDATE = WIRE.write_for("contacts", verb="update", target_id="c-000001", values={"role": "NURSE"})
CREATE = WIRE.write_for(
    "contacts",
    verb="create",
    target_id=None,
    values={
        "external_id": "N1",
        "first_name": "New",
        "last_name": "Person",
        "email": None,
        "mobile": "+17145550100",
        "role": "NURSE",
        "location": "TL-010",
        "active": True,
    },
)


@dataclass
class Stage:
    fake: FakeTitanhst
    targets: list[Target] = field(default_factory=list)
    pacer: RecordingPacer = field(default_factory=RecordingPacer)

    def target(self, **settings: Any) -> Target:
        settings = {"base_url": self.fake.url, "token": "env:READ", "write_token": "env:WRITE", **settings}
        connection = Connection(name="alerts", system="titanhst", environment="staging", settings=settings)
        surroundings = Surroundings(resolve=lambda reference: Secret(TOKENS[reference]))
        registry = installed_systems(surroundings=surroundings, pacers=lambda _: self.pacer)
        self.targets.append(registry.open_target(connection))
        return self.targets[-1]

    async def write(self, write: WireWrite, **settings: Any) -> AetherError:
        with pytest.raises(AetherError) as caught:
            await self.target(**settings).write(write, idempotency_key="k1")
        return caught.value


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    async with FakeTitanhst() as fake:
        stage = Stage(fake)
        yield stage
        for target in stage.targets:
            await target.close()


async def test_target_is_what_the_port_asks_for(stage: Stage) -> None:
    assert isinstance(stage.target(), Target)


async def test_created_record_is_fetched_by_our_key_and_by_their_id(stage: Stage) -> None:
    target = stage.target()
    receipt = await target.write(CREATE, idempotency_key="change-1")
    assert receipt.status == 201
    assert receipt.target_id is not None
    by_key = await target.fetch("contacts", target_id=None, key="N1")
    by_id = await target.fetch("contacts", target_id=receipt.target_id, key=None)
    assert by_key == by_id
    assert by_id is not None
    assert by_id["mobile"] == "+17145550100"
    assert set(by_id) == {column.name for column in target.columns("contacts")}
    assert stage.fake.asked[0].headers["idempotency-key"] == "change-1"


async def test_update_sends_only_the_named_fields(stage: Stage) -> None:
    receipt = await stage.target().write(UPDATE, idempotency_key="k1")
    assert (receipt.target_id, receipt.status) == ("c-000001", 200)
    (asked,) = stage.fake.asked
    assert (asked.method, asked.path, asked.body) == ("PATCH", "/api/v1/contacts/c-000001", {"role": "NURSE"})


async def test_suspended_record_is_kept_and_inactive(stage: Stage) -> None:
    target = stage.target()
    await target.write(
        WIRE.write_for("contacts", verb="suspend", target_id="c-000002", values={}), idempotency_key="k1"
    )
    record = await target.fetch("contacts", target_id="c-000002", key=None)
    assert record is not None
    assert record["active"] is False


async def test_deleted_record_is_gone_and_gives_a_receipt_without_id(stage: Stage) -> None:
    target = stage.target()
    delete = WIRE.write_for("contacts", verb="delete", target_id="c-000002", values={})
    receipt = await target.write(delete, idempotency_key="k1")
    assert (receipt.target_id, receipt.status) == (None, 204)
    assert await target.fetch("contacts", target_id="c-000002", key=None) is None
    assert isinstance(await stage.write(delete), TargetMoved)


async def test_record_that_is_not_there_is_none_only_in_the_targets_own_words(stage: Stage) -> None:
    assert await stage.target().fetch("contacts", target_id=None, key="nobody") is None
    stage.fake.fault = lambda _, __: Reply(404, b"<html>no such site</html>", media_type="text/html")
    with pytest.raises(StopRun) as caught:
        await stage.target().fetch("contacts", target_id=None, key="nobody")
    assert caught.value.code == "APL_WRONG_SHAPE"


async def test_another_record_than_asked_for_is_refused(stage: Stage) -> None:
    stage.fake.fault = lambda _, __: as_json(200, contact(9))
    for asked in ({"target_id": "c-000001", "key": None}, {"target_id": None, "key": "E00001"}):
        with pytest.raises(StopRun, match="not that of the record asked for"):
            await stage.target().fetch("contacts", **asked)


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (as_json(401, {"message": "m"}), NeedsPerson, "APL_AUTH"),
        (as_json(403, {"message": "m"}), NeedsPerson, "APL_AUTH"),
        (as_json(429, {"message": "m"}), TryLater, "APL_RATE_LIMITED"),
        (QUOTA, TryLater, "APL_RATE_LIMITED"),
        (as_json(403, {"message": "m", "reason": "role"}), NeedsPerson, "APL_AUTH"),
        (Reply(403, QUOTA.content, media_type="text/html"), NeedsPerson, "APL_AUTH"),
        (as_json(402, {"message": "m"}), RecordRefused, "APL_CAPACITY"),
        (as_json(507, {"message": "m"}), RecordRefused, "APL_CAPACITY"),
        (Reply(402, b"<html>", media_type="text/html"), StopRun, "APL_WRONG_SHAPE"),
        (Reply(507, b"<html>", media_type="text/html"), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(503, {"message": "m"}), TryLater, "APL_UNREACHABLE"),
        (as_json(404, {"message": "m"}), TargetMoved, "APL_CONFLICT"),
        (as_json(409, {"message": "m"}), TargetMoved, "APL_CONFLICT"),
        (as_json(412, {"message": "m"}), TargetMoved, "APL_CONFLICT"),
        (as_json(400, {"message": "m"}), RecordRefused, "APL_REFUSED_RECORD"),
        (as_json(413, {"message": "m"}), RecordRefused, "APL_REFUSED_RECORD"),
        (as_json(422, {"message": "m"}), RecordRefused, "APL_REFUSED_RECORD"),
        (as_json(405, {"message": "m"}), StopRun, "APL_WRONG_SHAPE"),
        (Reply(404, b"<html>", media_type="text/html"), StopRun, "APL_WRONG_SHAPE"),
        (Reply(400, b"<html>", media_type="text/html"), StopRun, "APL_WRONG_SHAPE"),
        (as_json(408, {"message": "m"}), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(500, {"message": "m"}), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(502, {"message": "m"}), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(504, {"message": "m"}), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(202, {"message": "m"}), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(302, headers={"Location": "/login"}), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (HTML, OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(200, b"{"), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(200, {"ok": True}), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (as_json(200, contact(2)), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(is_silent=True), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(200, b"x" * 500, cut_after=10), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(200, b"x" * 5000), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
        (Reply(200, b"{}", wait_seconds=3.5), OutcomeUnknown, "APL_UNKNOWN_OUTCOME"),
    ],
)
async def test_every_answer_to_a_write_has_one_meaning(
    stage: Stage, reply: Reply, kind: type[AetherError], code: str
) -> None:
    stage.fake.fault = lambda _, __: reply
    error = await stage.write(UPDATE, timeout_seconds=2.0, body_bytes_max=4096)
    assert (type(error), error.code) == (kind, code)
    assert len(stage.fake.asked) == 1, "a write is sent once, whatever comes back"


async def test_write_to_nobody_is_surely_not_done(stage: Stage) -> None:
    error = await stage.write(UPDATE, base_url="http://127.0.0.1:9")
    assert (type(error), error.code) == (TryLater, "APL_UNREACHABLE")


async def test_create_at_a_path_that_is_not_there_is_a_wrong_address(stage: Stage) -> None:
    stage.fake.fault = lambda _, __: as_json(404, {"message": "unknown path"})
    assert (await stage.write(CREATE)).code == "APL_WRONG_SHAPE"


async def test_create_of_a_key_that_exists_is_a_conflict(stage: Stage) -> None:
    await stage.target().write(CREATE, idempotency_key="k1")
    assert isinstance(await stage.write(CREATE), TargetMoved)


async def test_refused_record_names_fields_and_never_values(stage: Stage) -> None:
    secret = "person1@district.example"
    stage.fake.fault = lambda _, __: as_json(
        422, {"message": f"{secret} is bad", "errors": {"email": [f"{secret} is bad"], secret: ["?"], "role": []}}
    )
    error = await stage.write(UPDATE)
    assert error.facts["fields"] == "email,role"
    assert secret not in f"{error} {json.dumps(dict(error.facts))}"


async def test_throttled_write_says_how_long_to_wait(stage: Stage) -> None:
    stage.fake.fault = lambda _, __: as_json(429, {"message": "m"}, Retry_After="12")
    error = await stage.write(UPDATE)
    assert isinstance(error, TryLater)
    assert error.retry_after_seconds == 12
    assert stage.pacer.refusals == [12.0]


async def test_used_up_quota_slows_down_all_who_share_it(stage: Stage) -> None:
    stage.fake.fault = lambda _, __: QUOTA
    await stage.write(UPDATE)
    with pytest.raises(TryLater):
        await stage.target().fetch("contacts", target_id="c-000001", key=None)
    assert stage.pacer.refusals == [30.0, 30.0]


async def test_no_room_is_told_apart_from_a_record_that_is_wrong(stage: Stage) -> None:
    stage.fake.fault = lambda _, __: as_json(402, {"message": "no seat is left"})
    assert (await stage.write(CREATE)).failure.category == "capacity"


async def test_writes_and_looks_each_take_a_turn_and_none_goes_out_without(stage: Stage) -> None:
    target = stage.target()
    await target.write(UPDATE, idempotency_key="k1")
    await target.fetch("contacts", target_id="c-000001", key=None)
    assert stage.pacer.turns == ["APL", "APL"]
    stage.pacer.refuses = True
    with pytest.raises(TryLater):
        await target.write(UPDATE, idempotency_key="k2")
    assert len(stage.fake.asked) == 2


async def test_what_the_headers_say_is_left_is_heard_of_every_answer(stage: Stage) -> None:
    told = {"RateLimit_Remaining": "3", "RateLimit_Reset": "10"}
    stage.fake.fault = lambda _, honest: replace(honest, headers=told)
    await stage.target().write(UPDATE, idempotency_key="k1")
    stage.fake.fault = lambda _, __: as_json(422, {"message": "m"}, **told)
    await stage.write(UPDATE)
    assert stage.pacer.allowances == [Allowance(remaining=3, resets_in_seconds=10.0)] * 2


async def test_source_never_holds_the_credential_that_writes(stage: Stage) -> None:
    settings = {"base_url": stage.fake.url, "token": "env:READ", "write_token": "env:WRITE"}
    source = REGISTRY.open_source(
        Connection(name="alerts", system="titanhst", environment="staging", settings=settings)
    )
    assert [page async for page in source.read("roles")]
    await source.close()
    assert {asked.headers["authorization"] for asked in stage.fake.asked} == {f"Bearer {READ_TOKEN}"}


async def test_write_outside_the_description_is_never_sent(stage: Stage) -> None:
    for write in (
        WireWrite("POST", "/api/v2/contacts", {}),
        WireWrite("POST", "@elsewhere.example/api/v1/contacts", {}),
        WireWrite("GET", "/api/v1/contacts/c-000001", None),
        WireWrite("DELETE", "/api/v1/contactsX", None),
        WireWrite("DELETE", "/api/v1/contacts/../admin", None),
        WireWrite("PATCH", "/api/v1/contacts/c-000001?force=1", {}),
    ):
        assert isinstance(await stage.write(write), StopRun)
    assert stage.fake.asked == []


async def test_target_reads_lists_too(stage: Stage) -> None:
    target = stage.target(page_limit=10)
    assert sum([page.rows.height async for page in target.read("contacts")]) == 25
    assert all(finding.is_good for finding in await target.check())
