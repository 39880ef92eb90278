"""Every wall of the bus has a bell: what a user must not do is tried on the real server, and so is what it must."""

import json

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.bus.connect import BusSettings, NotAdmitted, PermissionRefused, connect, raise_if_refused, refusals_of
from shared.bus.embedded import EmbeddedServer
from shared.bus.identity import requester_of
from shared.bus.provision import differences
from shared.bus.publishing import Outgoing, publish_batch, publish_one
from shared.bus.reading import NotGenuine, StreamUnavailable, last, read_all
from shared.bus.topology import (
    CONSUMERS,
    HOUSE_USERS,
    NOTES,
    PROVISIONER,
    REQUESTS,
    SERVICE_NAMES,
    SERVICES,
    STREAMS,
    consumer_spec,
    inbox_prefix,
    matches,
    permissions_of_house_user,
    permissions_of_person,
    stream_of,
)
from shared.clock import SystemClock, to_text
from tests.support.bus import PEOPLE, BusUnderTest

PEOPLE_NAMES = tuple(person.name for person in PEOPLE)
ROLES_OF = {person.name: person.roles for person in PEOPLE}


def example(pattern: str) -> str:
    """A concrete subject of a pattern."""
    return pattern.replace("*", "x1").replace(">", "x1.y2")


def data_subjects() -> set[str]:
    patterns = {subject for stream in STREAMS for subject in stream.subjects}
    patterns |= {subject for service in SERVICES for subject in service.publishes}
    patterns |= {subject for consumer in CONSUMERS for subject in consumer.filters}
    return {example(pattern) for pattern in patterns}


def administration_subjects() -> set[str]:
    """Everything that creates, changes, empties, deletes or looks into streams and consumers."""
    subjects = {"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.CREATE.NEW"}
    for stream in STREAMS:
        acts = ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "MSG.GET", "SNAPSHOT", "RESTORE", "INFO")
        subjects |= {f"$JS.API.STREAM.{act}.{stream.name}" for act in acts}
        subjects |= {f"$JS.API.DIRECT.GET.{stream.name}", f"$JS.API.DIRECT.GET.{stream.name}.x1.y2"}
        subjects |= {
            f"$JS.API.CONSUMER.CREATE.{stream.name}",
            f"$JS.API.CONSUMER.CREATE.{stream.name}.mine",
            f"$JS.API.CONSUMER.CREATE.{stream.name}.mine.x1",
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream.name}.mine",
            f"$JS.API.CONSUMER.NAMES.{stream.name}",
            f"$JS.API.CONSUMER.LIST.{stream.name}",
            f"$JS.API.STREAM.LEADER.STEPDOWN.{stream.name}",
        }
    for consumer in CONSUMERS:
        consumer_acts = ("INFO", "MSG.NEXT", "DELETE", "PAUSE", "RESET", "UNPIN")
        subjects |= {f"$JS.API.CONSUMER.{act}.{consumer.stream}.{consumer.name}" for act in consumer_acts}
        subjects |= {
            f"$JS.ACK.{consumer.stream}.{consumer.name}.1.1.1.1.0",
            f"$JS.ACK.domain.account.{consumer.stream}.{consumer.name}.1.1.1.1.0.token",
        }
    return subjects


def all_subjects() -> list[str]:
    inboxes = {f"{inbox_prefix(user)}.x1" for user in (*HOUSE_USERS, *PEOPLE_NAMES)}
    requests = {example(request.subject) for request in REQUESTS}
    others = {"_INBOX.x1", "$SYS.REQ.SERVER.PING", "$KV.bucket.key", "anything", "aether.unknown", "cmd", "run.x1"}
    return sorted(data_subjects() | administration_subjects() | inboxes | requests | others)


async def settle(client: Client) -> None:
    """Wait until the server has answered to all that was sent.

    Twice, because the client writes the first ping ahead of what still waits in its buffer.
    """
    await client.flush()
    await client.flush()


async def refused_publish(client: Client, subject: str) -> PermissionRefused | None:
    """Publish nothing of meaning and return how the server refused it, if it did."""
    await client.publish(subject, b"not json")
    await settle(client)
    try:
        raise_if_refused(client, subject)
    except PermissionRefused as refused:
        return refused
    return None


async def refused_subscription(client: Client, subject: str) -> bool:
    subscription = await client.subscribe(subject)
    await settle(client)
    refusals = refusals_of(client)
    assert refusals is not None
    refused = refusals.explaining(subject, "subscription") is not None
    await subscription.unsubscribe()
    return refused


@pytest.mark.parametrize("user", SERVICE_NAMES)
async def test_service_publishes_what_the_table_says_and_is_refused_all_else_by_name(
    own_bus: BusUnderTest, user: str
) -> None:
    client = await own_bus.connect_as(user)
    allowed = permissions_of_house_user(user).publish
    tried_and_refused = 0
    for subject in all_subjects():
        refused = await refused_publish(client, subject)
        if any(matches(pattern, subject) for pattern in allowed):
            assert refused is None, f"{user} must be able to publish {subject}"
        else:
            assert refused is not None, f"{user} could publish {subject}"
            assert user in str(refused)
            assert subject in str(refused)
            tried_and_refused += 1
    assert tried_and_refused > 150


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("auditor", "run.r1.state"),
        ("auditor", "cmd.apply.r1"),
        ("auditor", "led.r1.c1"),
        ("extractor", "cmd.apply.r1"),
        ("extractor", "plan.r1.0"),
        ("extractor", "led.r1.c1"),
        ("extractor", "lease.target.t1"),
        ("extractor", "evt.applier.apply_finished.r1"),
        ("differ", "led.r1.c1"),
        ("differ", "snap.r1.source.0"),
        ("differ", "cmd.extract.r1"),
        ("differ", "audit.applier.x"),
        ("applier", "plan.r1.0"),
        ("applier", "snap.r1.source.0"),
        ("applier", "evt.differ.plan_approved.r1"),
        ("applier", "$JS.API.STREAM.PURGE.LEDGER"),
        ("extractor", "$JS.API.DIRECT.GET.LEDGER"),
        ("auditor", "$JS.API.DIRECT.GET.SNAP"),
        ("extractor", "$JS.API.CONSUMER.MSG.NEXT.CORE.applier"),
        ("extractor", "$JS.ACK.CORE.applier.1.1.1.1.0"),
        (PROVISIONER, "cmd.apply.r1"),
        (PROVISIONER, "run.r1.state"),
        (PROVISIONER, "aether.run.approve"),
    ],
)
async def test_never_rules_hold_whatever_the_table_says(bus: BusUnderTest, user: str, subject: str) -> None:
    assert await refused_publish(await bus.connect_as(user), subject) is not None


async def test_provisioner_writes_no_data(bus: BusUnderTest) -> None:
    client = await bus.connect_as(PROVISIONER)
    for subject in sorted(data_subjects()):
        assert await refused_publish(client, subject) is not None, subject


@pytest.mark.parametrize("user", [*HOUSE_USERS, *PEOPLE_NAMES])
async def test_no_user_listens_where_it_has_no_business(bus: BusUnderTest, user: str) -> None:
    client = await bus.connect_as(user)
    own = (
        permissions_of_house_user(user) if user in HOUSE_USERS else permissions_of_person(user, ROLES_OF[user])
    ).subscribe
    wide = [">", "*", "cmd.>", "run.*.state", "_INBOX.>", "*.>", "$JS.ACK.>", "$JS.API.>", "$SYS.>"]
    foreign = [f"{inbox_prefix(other)}.>" for other in (*HOUSE_USERS, *PEOPLE_NAMES) if other != user]
    for subject in (*wide, *foreign, *(request.subject for request in REQUESTS)):
        if any(matches(pattern, subject) for pattern in own):
            continue
        assert await refused_subscription(client, subject), f"{user} could listen to {subject}"
    for subject in own:
        assert not await refused_subscription(client, subject), f"{user} must be able to listen to {subject}"


@pytest.mark.parametrize("person", PEOPLE_NAMES)
async def test_person_asks_what_the_roles_allow_and_nothing_else(bus: BusUnderTest, person: str) -> None:
    client = await bus.connect_as(person)
    allowed = permissions_of_person(person, ROLES_OF[person]).publish
    for subject in all_subjects():
        refused = await refused_publish(client, subject)
        assert (refused is None) == any(matches(pattern, subject) for pattern in allowed), f"{person}: {subject}"


@pytest.mark.parametrize(
    ("person", "subject"),
    [
        ("otto", "aether.run.approve"),
        ("anna", "aether.run.request"),
        ("vera", "aether.run.cancel"),
        ("udo", "aether.run.approve"),
        ("nobody", "aether.query.runs"),
        ("anna", "run.r1.state"),
        ("otto", "$JS.API.STREAM.INFO.CORE"),
        ("anna", "$JS.API.DIRECT.GET.PLAN"),
    ],
)
async def test_people_never_pass_their_roles(bus: BusUnderTest, person: str, subject: str) -> None:
    assert await refused_publish(await bus.connect_as(person), subject) is not None


async def test_refused_call_ends_in_an_error_that_names_user_and_subject(bus: BusUnderTest) -> None:
    js = await bus.js_as("differ")
    with pytest.raises(PermissionRefused, match=r"'differ'.*publish to 'led\.r1\.c1'"):
        await publish_one(js, Outgoing("led.r1.c1", b"{}", "a"), timeout_seconds=0.2)
    with pytest.raises(PermissionRefused, match=r"'differ'.*'snap\.r1\.b'"):
        await publish_one(js, Outgoing("snap.r1.b", b"{}", "b"), timeout_seconds=0.2)
    with pytest.raises(PermissionRefused, match=r"'differ'.*'audit\.applier\.x'"):
        batch = [Outgoing("evt.differ.x", b"{}", "c"), Outgoing("audit.applier.x", b"{}", "d")]
        await publish_batch(js, batch, timeout_seconds=0.2)


async def test_refused_reading_ends_in_an_error_that_names_user_and_subject(
    bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.reading.READ_TIMEOUT_SECONDS", 0.2)
    js = await bus.js_as("extractor")
    with pytest.raises(PermissionRefused, match=r"'extractor'.*MSG\.GET\.LEDGER"):
        await last(js, "LEDGER", "led.r1.c1")
    with pytest.raises(PermissionRefused, match=r"'extractor'.*MSG\.GET\.PLAN"):
        [stored async for stored in read_all(js, "PLAN", "plan.>")]


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_service_can_do_all_that_it_must(own_bus: BusUnderTest, service: str) -> None:
    """Store each of its subjects, read each of its streams, and pull and acknowledge from each of its consumers."""
    client = await own_bus.connect_as(service)
    js = client.jetstream()
    row = next(row for row in SERVICES if row.name == service)
    for pattern in (each for each in row.publishes if each not in NOTES):
        subject = example(pattern)
        stored = await publish_one(js, Outgoing(subject, b"{}", f"{service}-{subject}"))
        assert stored.seq > 0
        if stream_of(subject).name in row.reads:
            found = await last(js, stream_of(subject).name, subject)
            assert found is not None
            assert found.seq == stored.seq
    for stream in row.reads:
        assert (await js.stream_info(stream)).config.name == stream
        assert [one async for one in read_all(js, stream, "x.>")] == []
    writers = {writer.name: await own_bus.js_as(writer.name) for writer in SERVICES}
    for consumer in (one for one in CONSUMERS if one.service == service):
        subject = example(consumer.filters[0] if consumer.filters else {"LEDGER": "led.>"}.get(consumer.stream, ""))
        if consumer.stream == "DLQ":
            subject = "dlq.differ.CORE"
        if subject == "":
            subject = "evt.differ.x1"
        if subject.startswith("tick."):  # which nobody may publish: the server makes it when a schedule is due
            due = {"Nats-Schedule": f"@at {to_text(SystemClock().now())}", "Nats-Schedule-Target": subject}
            await js.publish(f"sched.{subject.removeprefix('tick.')}", b"{}", headers=due)
        else:
            writer = next(one.name for one in SERVICES if any(matches(pattern, subject) for pattern in one.publishes))
            await publish_one(writers[writer], Outgoing(subject, b"{}", f"for {consumer.name}"))
        pull = await js.pull_subscribe_bind(
            durable=consumer.name, stream=consumer.stream, inbox_prefix=f"{inbox_prefix(service)}.".encode()
        )
        message = (await pull.fetch(1, timeout=5))[0]
        await message.in_progress()
        await message.ack_sync(timeout=5)
        assert (await js.consumer_info(consumer.stream, consumer.name)).ack_floor.stream_seq > 0
        await pull.unsubscribe()
    refusals = refusals_of(client)
    assert refusals is not None
    assert refusals.total == 0


async def test_foreign_acknowledgement_has_no_effect(own_bus: BusUnderTest) -> None:
    extractor, applier = await own_bus.connect_as("extractor"), await own_bus.connect_as("applier")
    await publish_one(applier.jetstream(), Outgoing("cmd.apply.r1", b"{}", "a"))
    pull = await applier.jetstream().pull_subscribe_bind(
        durable="applier", stream="CORE", inbox_prefix=f"{inbox_prefix('applier')}.".encode()
    )
    message = (await pull.fetch(1, timeout=5))[0]
    await extractor.publish(message.reply, b"+TERM")
    await settle(extractor)
    info = await applier.jetstream().consumer_info("CORE", consumer_spec("applier").name)
    assert info.num_ack_pending == 1
    await message.ack_sync(timeout=5)


@pytest.mark.parametrize("request_row", REQUESTS, ids=lambda row: row.subject)
async def test_request_reaches_its_service_and_the_answer_its_asker(bus: BusUnderTest, request_row: object) -> None:
    row = next(row for row in REQUESTS if row is request_row)
    person = next(person.name for person in PEOPLE if person.roles.intersection(row.roles))
    service, asker = await bus.connect_as(row.service), await bus.connect_as(person)

    async def reply(message: Msg) -> None:
        await service.publish(message.reply, requester_of(message.headers).user.encode())

    await service.subscribe(row.subject, queue=row.service, cb=reply)
    await settle(service)
    answer = await asker.request(example(row.subject), b"{}", timeout=5)
    assert answer.data.decode() == person


async def test_forged_identity_is_replaced_by_the_true_one(bus: BusUnderTest) -> None:
    service, asker = await bus.connect_as("differ"), await bus.connect_as("abel")

    async def reply(message: Msg) -> None:
        await service.publish(message.reply, requester_of(message.headers).user.encode())

    await service.subscribe("aether.run.approve", queue="differ", cb=reply)
    await settle(service)
    forged = {"Nats-Request-Info": json.dumps({"acc": "STAGING_PEOPLE", "user": "anna"})}
    answer = await asker.request("aether.run.approve", b"{}", timeout=5, headers=forged)
    assert answer.data == b"abel"


async def test_service_answers_only_what_it_was_asked(bus: BusUnderTest) -> None:
    """The right to answer is no right to write to people's inboxes."""
    service = await bus.connect_as("differ")
    assert await refused_publish(service, f"{inbox_prefix('anna')}.x1") is not None


async def test_answer_turned_onto_a_foreign_subject_is_not_believed(own_bus: BusUnderTest) -> None:
    """The server does not check where an answer goes; the marks of our own publishing keep such a copy out."""
    extractor = await own_bus.connect_as("extractor")
    js = extractor.jetstream()
    bare = await js.publish("cmd.extract.r1", b'{"forged": true}')
    own = await publish_one(js, Outgoing("cmd.extract.r2", b'{"forged": true}', "marked"))
    for seq, target in (
        (bare.seq, "led.bare"),
        (own.seq, "led.marked"),
        (bare.seq, "run.r9.state"),
        (own.seq, "cmd.apply.r9"),
    ):
        await extractor.publish("$JS.API.DIRECT.GET.CORE", json.dumps({"seq": seq}).encode(), reply=target)
    await publish_one(js, Outgoing("cmd.extract.r3", b"{}", "after"))
    applier = await own_bus.js_as("applier")
    assert [stored async for stored in read_all(applier, "LEDGER", "led.>")] == []
    with pytest.raises(NotGenuine, match=r"run\.r9\.state"):
        await last(applier, "CORE", "run.r9.state")
    assert await last(applier, "CORE", "cmd.apply.r9") is None


async def test_wrong_password_ends_the_attempt_and_no_password_enters_nothing(bus_server: EmbeddedServer) -> None:
    with pytest.raises(NotAdmitted, match="'applier'"):
        await connect(BusSettings(bus_server.url, "applier", "a wrong password"), wait_seconds=5)
    with pytest.raises(NotAdmitted, match="''"):
        await connect(BusSettings(bus_server.url, "", ""), wait_seconds=5)


async def test_tried_refusals_changed_nothing(own_bus: BusUnderTest) -> None:
    for user in (*SERVICE_NAMES, *PEOPLE_NAMES):
        client = await own_bus.connect_as(user)
        for subject in sorted(administration_subjects()):
            await client.publish(subject, b"{}")
        await settle(client)
    assert await differences(await own_bus.js_as(PROVISIONER)) == []


def test_unavailable_is_not_mistaken_for_refused() -> None:
    assert not issubclass(StreamUnavailable, PermissionRefused)
