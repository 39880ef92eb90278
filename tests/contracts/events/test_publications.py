"""The table of who publishes what, held against the permissions of the bus and the routes of the services."""

from __future__ import annotations

from collections import Counter

import pytest

from deploy.documents.asyncapi import ROUTES
from shared.bus.topology import CONSUMERS, SERVICES, matches, stream_of
from shared.events import commands, facts
from shared.events.publications import PUBLISHES, Publication
from shared.events.registry import EVENTS
from shared.plan.document import header_subject, index_subject, page_subject
from shared.records.subjects import BATCH_TYPE, batch_subject, snapshot_read_subject
from shared.run.active import active_subject
from shared.run.declared import declared_subject
from shared.run.state import state_subject

MAY_PUBLISH = {row.name: row.publishes for row in SERVICES}


def test_every_event_type_is_published_by_somebody_and_no_other_is() -> None:
    assert {row.event_type for row in PUBLISHES} == {*EVENTS, BATCH_TYPE}


def test_no_row_stands_twice() -> None:
    assert [
        key for key, count in Counter((row.event_type, row.address) for row in PUBLISHES).items() if count > 1
    ] == []


@pytest.mark.parametrize("row", PUBLISHES, ids=lambda row: f"{row.event_type}@{row.pattern}")
def test_publisher_may_write_where_the_row_says_and_a_stream_keeps_it(row: Publication) -> None:
    assert row.services
    assert stream_of(row.pattern)
    for service in row.services:
        assert any(matches(pattern, row.pattern) for pattern in MAY_PUBLISH[service]), service


@pytest.mark.parametrize("service", ROUTES)
def test_every_routed_event_reaches_its_service(service: str) -> None:
    filters = [one for row in CONSUMERS if row.service == service for one in row.filters]
    for route in ROUTES[service]:
        rows = [row for row in PUBLISHES if row.event_type == route.event.event_type]
        assert rows and all(any(matches(one, row.pattern) for one in filters) for row in rows), route.event


@pytest.mark.parametrize("service", ROUTES)
def test_consumer_brings_nothing_that_its_service_does_not_route(service: str) -> None:
    routed = {route.event.event_type for route in ROUTES[service]}
    filters = [one for row in CONSUMERS if row.service == service for one in row.filters]
    brought = {row.event_type for row in PUBLISHES if any(matches(one, row.pattern) for one in filters)}
    assert brought == routed


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("aether.run.state.v1", state_subject("r")),
        ("aether.connector.active.v1", active_subject("c")),
        ("aether.connector.declared.v1", declared_subject("c")),
        ("aether.plan.v1", header_subject("r")),
        ("aether.plan.page.v1", page_subject("r", "users", 1, 2)),
        ("aether.plan.index.v1", index_subject("r", "users", 1, 2)),
        ("aether.extract.read.v1", commands.read_side_subject("r", "source", "users")),
        ("aether.diff.partition.v1", commands.diff_partition_subject("r", 3)),
        ("aether.plan.draft.v1", commands.draft_plan_subject("r")),
        ("aether.apply.plan.v1", commands.apply_plan_subject("r")),
        ("aether.apply.started.v1", facts.apply_started_subject("t")),
        ("aether.change.intended.v1", facts.change_subject("r", "c")),
        ("aether.target.fenced.v1", facts.fence_subject("t")),
        ("aether.snapshot.read.v1", snapshot_read_subject(run="r", side="source", entity="users")),
        (BATCH_TYPE, batch_subject(run="r", side="source", entity="users", attempt="a", partition="0")),
        (BATCH_TYPE, batch_subject(run="r", side="residue", entity="users", attempt="a", partition="0-absent")),
    ],
)
def test_addresses_are_those_that_the_subject_functions_make(event_type: str, subject: str) -> None:
    assert any(matches(row.pattern, subject) for row in PUBLISHES if row.event_type == event_type)
