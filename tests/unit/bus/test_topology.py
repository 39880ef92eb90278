"""The table of the bus agrees with itself, and its derivations say what they promise."""

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.documents import render_markdown
from shared.bus.topology import (
    CONSUMERS,
    FILE_STORE_BYTES_MAX,
    HOUSE_USERS,
    MESSAGE_BYTES_MAX,
    NOTES,
    REQUESTS,
    ROLES,
    SERVICE_NAMES,
    SERVICES,
    STREAMS,
    consumer_spec,
    inbox_prefix,
    matches,
    permissions_of_house_user,
    permissions_of_person,
    permissions_of_service,
    stream_of,
    stream_spec,
    subject_shape,
)

ROOT = Path(__file__).parents[3]


def test_reserved_space_fits_one_server() -> None:
    assert sum(stream.max_bytes for stream in STREAMS) <= FILE_STORE_BYTES_MAX
    assert all(stream.max_msg_bytes <= MESSAGE_BYTES_MAX for stream in STREAMS)


def test_every_subject_a_service_writes_has_exactly_one_stream() -> None:
    for service in SERVICES:
        for pattern in (each for each in service.publishes if each not in NOTES):
            homes = [stream.name for stream in STREAMS if any(matches(own, pattern) for own in stream.subjects)]
            assert len(homes) == 1, pattern


def test_a_note_is_kept_by_no_stream_and_heard_by_who_may() -> None:
    for note in NOTES:
        with pytest.raises(ValueError, match="no stream of the table stores"):
            stream_of(note)
        assert [row.name for row in SERVICES if note in row.publishes] == [note.partition(".")[2]]
        assert [row.name for row in SERVICES if note in row.hears]


def test_streams_do_not_share_subjects() -> None:
    for one, other in combinations(STREAMS, 2):
        for mine in one.subjects:
            for theirs in other.subjects:
                assert not matches(mine, theirs)
                assert not matches(theirs, mine)


def test_consumers_filter_subjects_of_their_stream_and_belong_to_a_service_that_reads_it() -> None:
    assert len({consumer.name for consumer in CONSUMERS}) == len(CONSUMERS)
    for consumer in CONSUMERS:
        assert consumer.service in SERVICE_NAMES
        for subject in consumer.filters:
            assert any(matches(own, subject) for own in stream_spec(consumer.stream).subjects)


def test_requests_are_answered_by_a_service_and_open_to_somebody() -> None:
    for request in REQUESTS:
        assert request.service in SERVICE_NAMES
        assert request.roles
        assert set(request.roles) <= set(ROLES)


def test_streams_that_forget_or_drop_are_never_the_record() -> None:
    for name in ("CORE", "LEDGER"):
        stream = stream_spec(name)
        assert (stream.discard, stream.max_age_seconds, stream.deny_delete) == ("new", 0, True)
        assert not stream.is_async_when_single
    assert all(not (stream.allow_atomic and stream.is_async_when_single) for stream in STREAMS)


def test_only_the_applier_writes_the_ledger_and_the_auditor_moves_no_run() -> None:
    def writers(subject: str) -> set[str]:
        return {row.name for row in SERVICES if any(matches(pattern, subject) for pattern in row.publishes)}

    assert writers("led.r1.c1") == {"applier"}
    assert writers("run.r1.state") == {"extractor", "differ", "applier"}
    assert writers("plan.r1.0") == {"differ"}
    assert writers("snap.r1.source.0") == {"extractor"}
    for service in SERVICE_NAMES:
        assert writers(f"audit.{service}.x") == {service}
        takes_messages = any(consumer.service == service for consumer in CONSUMERS)
        assert writers(f"dlq.{service}.CORE") == ({service} if takes_messages else set())


def test_no_service_may_touch_administration_or_anothers_inbox() -> None:
    for service in SERVICE_NAMES:
        permissions = permissions_of_service(service)
        for subject in permissions.publish:
            assert not subject.startswith((">", "*", "_INBOX", "$JS.API.>"))
            assert "CREATE" not in subject
        assert permissions.subscribe[0] == f"_INBOX_{service}.>"


def test_provisioner_may_write_no_subject_of_a_stream() -> None:
    permissions = permissions_of_house_user("provisioner")
    for stream in STREAMS:
        for subject in stream.subjects:
            assert not any(matches(pattern, subject) for pattern in permissions.publish)


def test_person_without_roles_may_ask_nothing() -> None:
    assert permissions_of_person("ann", frozenset()).publish == ()


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.*", "a.>", False),
        ("a.>", "a.*", True),
        ("a.b", "a.*", False),
        ("a.b.c", "a.b", False),
        ("*.*.x", "a.b.x", True),
    ],
)
def test_matching_is_that_of_nats(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_inboxes_of_different_users_never_contain_each_other(one: str, other: str) -> None:
    mine, theirs = inbox_prefix(one), inbox_prefix(other)
    assert (mine == theirs) == (one == other)
    for prefix in (mine, theirs):
        assert not set(prefix) & set(".*> \t\r\n")
    if one != other:
        assert not matches(f"{mine}.>", f"{theirs}.x")


def test_shape_of_a_subject_never_holds_an_id() -> None:
    assert subject_shape("cmd.diff.20261122T083455-4k7zq2.7") == "cmd.diff"
    assert subject_shape("run.20261122T083455-4k7zq2.state") == "run.state"
    assert subject_shape("evt.applier.apply_finished.r1") == "evt.applier.apply_finished"
    assert subject_shape("evt.applier.other.r1") == "evt.applier"
    assert subject_shape("aether.query.runs") == "aether.query"
    assert subject_shape("cmd.unknown.r1") == "cmd"
    assert subject_shape("_INBOX_differ.abc") == "inbox"
    assert subject_shape("$JS.ACK.CORE.differ.1.1.1.1.0") == "jetstream"
    assert subject_shape("anything.at.all") == "other"


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ValueError, match=r"cmdd\.diff"):
        stream_of("cmdd.diff.r1")
    with pytest.raises(KeyError):
        stream_spec("NONE")
    with pytest.raises(KeyError):
        consumer_spec("none")
    with pytest.raises(KeyError):
        permissions_of_service("none")


def test_printed_document_is_up_to_date() -> None:
    printed = (ROOT / "docs" / "bus.md").read_text()
    assert printed == render_markdown(), "run: python -m shared.bus.documents > docs/bus.md"
    assert all(f"| {user} |" in printed for user in HOUSE_USERS)
