"""What the auditor answers: masked, bounded, and refused with a reason when the question cannot be read."""

from __future__ import annotations

import pytest

from services.auditor.ingest import Auditor
from shared.bus.publishing import publish_one
from shared.events import facts, queries
from shared.events.documents import FailureNote, PageReference
from shared.events.queries import QueryRefused
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Cause, Change, ChangeClass, FieldChange, Write
from shared.plan.document import (
    EntityPlan,
    Excluded,
    Plan,
    PlanHeader,
    PlanPage,
    header_subject,
    page_subject,
)
from shared.policy.figures import GuardFigures
from shared.policy.guard import Level, Verdict
from shared.policy.limits import Limit, Policy
from shared.records.certificate import Certificate
from shared.run.counts import NineCounts
from shared.run.states import RunStatus
from tests.integration.auditor.house import House, event_message, new_run, run_state

LIMIT = Limit(count=10, percent=None, floor=0)
POLICY = Policy(
    classes={"update": LIMIT}, source_fell=LIMIT, source_grew=LIMIT, null_out=LIMIT, quarantine=LIMIT, ambiguous=LIMIT
)
SECRET = "Petersen-Example"


def change(number: int, change_class: ChangeClass = ChangeClass.UPDATE) -> Change:
    fields = (
        FieldChange(name="last_name", before="Sample", after=SECRET, cause=Cause.SOURCE_CHANGE),
        FieldChange(name="site", before="11", after="12", cause=Cause.DRIFT),
    )
    return Change(
        change_id=f"{number:064x}", target="hst", entity="staff", key=str(1000 + number), target_id=None,
        change_class=change_class, verb="update", fields=fields, precondition=None,
        write=Write(method="PUT", path="/x", body={"last_name": SECRET}), commitment_key="00" * 32, wave=1,
    )  # fmt: skip


def page_of(run: str, number: int, changes: tuple[Change, ...]) -> PlanPage:
    return PlanPage(run=run, partition=0, number=number, changes=changes)


def plan_of(run: str, pages: list[PlanPage], *, excluded: tuple[Excluded, ...] = ()) -> Plan:
    moment = "2026-11-22T08:00:00.000Z"
    header = PlanHeader(
        run=run, requester="otto", connector="staff", connector_version="1", release_digest="sha256:r", target="hst",
        target_system="titanhst", environment="staging", target_serial=0, target_read_at=moment,
        entities=(EntityPlan(entity="staff", compared_fields=("last_name", "site"), personal_fields=("last_name",)),),
        certificates=(), figures=GuardFigures(entities=()), policy=POLICY,
        verdict=Verdict(level=Level.PASS, lines=(), policy_digest=POLICY.digest), excluded=excluded,
        changes=sum(len(page.changes) for page in pages), changes_by_class={}, approvals_needed=1, created_at=moment,
        expires_at=moment,
    )  # fmt: skip
    references = tuple(
        PageReference(
            subject=page_subject(run, "staff", 0, page.number),
            sha256=sha256_hex(page.model_dump_json().encode()),
            changes=len(page.changes),
        )
        for page in pages
    )
    return Plan(header=header, pages=references, plan_digest=f"sha256:{run}", content_digest="sha256:c")


async def publish_plan(house: House, run: str, plan: Plan, pages: list[PlanPage]) -> None:
    js = house.writers["differ"]
    for page in pages:
        subject = page_subject(run, "staff", 0, page.number)
        await publish_one(js, event_message(page, subject, run, service="differ"))
    await publish_one(js, event_message(plan, header_subject(run), run, service="differ"))


async def ask_plan(house: House, auditor: Auditor, run: str, more: str = "") -> queries.PlanAnswer:
    return queries.PlanAnswer.model_validate_json(await house.ask(auditor, "plan", f'{{"run":"{run}"{more}}}'))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_plan_is_shown_in_parts_with_personal_values_masked(house: House) -> None:
    run = new_run()
    pages = [
        page_of(run, 1, (change(1), change(3), change(5, ChangeClass.CREATE))),
        page_of(run, 2, (change(2), change(4))),
    ]
    plan = plan_of(run, pages, excluded=(Excluded(change_id=change(4).change_id, code="GRD_LIMIT"),))
    await publish_plan(house, run, plan, pages)
    auditor = await house.auditor()
    await house.say_state(run_state(run, RunStatus.APPLYING, changes=5))
    await house.conclude(run, 1, first=1)
    await house.conclude(run, 1, first=2, is_concluded=False)
    await house.until_recorded()
    answer = await ask_plan(house, auditor, run)
    assert SECRET not in answer.model_dump_json()
    assert answer.total == 5
    assert [view.key for view in answer.changes] == ["1001", "1002", "1003", "1004", "1005"]
    assert answer.changes[0].fields[0].after == f"P…({len(SECRET)})"
    assert answer.changes[0].fields[1].after == "12"
    assert [(view.result, view.code) for view in answer.changes] == [
        ("applied", None),
        ("unknown", None),
        (None, None),
        ("quarantined", "GRD_LIMIT"),
        (None, None),
    ]
    assert answer.excluded == 1
    part = await ask_plan(house, auditor, run, ',"offset":1,"limit":2')
    assert [view.key for view in part.changes] == ["1002", "1003"]
    creates = await ask_plan(house, auditor, run, ',"change_class":"create"')
    assert ([view.key for view in creates.changes], creates.total) == (["1005"], 1)
    shown = queries.RunsAnswer.model_validate_json(await house.ask(auditor, "runs")).runs[0]
    assert shown.counts == NineCounts(planned=5, applied=1, unknown=1, not_attempted=3)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_page_that_is_not_what_the_plan_lists_is_refused(house: House) -> None:
    run = new_run()
    pages = [page_of(run, 1, (change(1),))]
    await publish_plan(house, run, plan_of(run, pages), [page_of(run, 1, (change(2),))])
    auditor = await house.auditor()
    await house.say_state(run_state(run, RunStatus.AWAITING_APPROVAL, changes=1))
    await house.until_recorded()
    refused = QueryRefused.model_validate_json(await house.ask(auditor, "plan", f'{{"run":"{run}"}}'))
    assert refused.refusal.code == "APL_PLAN_ALTERED"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_question_that_cannot_be_read_is_refused_with_what_is_wrong(house: House) -> None:
    auditor = await house.idle_auditor()
    for name, body, said in (
        ("runs", "{", "Invalid JSON"),
        ("runs", '{"limit": 100000}', "limit"),
        ("run", "{}", "run: Field required"),
        ("runs", '{"colour": "blue"}', "colour"),
        ("entries", " " * 70_000, "70000 bytes, allowed are 65536"),
        ("everything", "{}", "there is no question"),
    ):
        refused = QueryRefused.model_validate_json(await house.ask(auditor, name, body))
        assert refused.refusal.code == "APV_MALFORMED"
        assert said in refused.refusal.text, (name, body)
    assert b"blue" not in await house.ask(auditor, "runs", '{"colour": "blue"}')


async def test_a_run_is_shown_with_what_was_read_and_refused(house: House) -> None:
    run, other = new_run(), new_run()
    auditor = await house.auditor()
    await house.say_state(run_state(run, RunStatus.QUEUED))
    note = FailureNote(code="SRC_INCOMPLETE", text="39 of 40 pages")
    certificate = Certificate(
        side="source", connection="hr", system="ocde_hr_sql", entity="staff", scope="all", rows=9, expected_rows=9,
        expected_origin="count(*)", pages=1, page_chain_sha256="0" * 64, first_cursor="1", last_cursor="9",
        started_at="2026-11-22T08:00:00.000Z", ended_at="2026-11-22T08:00:01.000Z", errors=0,
    )  # fmt: skip
    for attempt, incomplete in (("a1", note), ("a2", None)):
        read = facts.SnapshotRead(
            run=run, side="source", entity="staff", attempt=attempt, sources=(), incomplete=incomplete,
            certificates=() if incomplete else (certificate,), records=9, quarantined=0, quarantined_by_code={},
            unmapped=(facts.UnmappedId(table="sites", value="77", rows=2),), out_of_scope=0, partitions=(),
            started_at="2026-11-22T08:00:00.000Z", seconds=1.0, memory_peak_mb=9, target_serial=0,
        )  # fmt: skip
        await house.say(read, f"evt.extractor.snapshot_read.{run}", run)
    refusal = FailureNote(code="APV_OWN_REQUEST", text="otto requested the run")
    refused = facts.CommandRefused(command="approve", run=run, actor="otto", refusal=refusal)
    await house.say(refused, f"evt.differ.command_refused.{run}", run, service="differ")
    await house.say_state(run_state(other, RunStatus.QUEUED))
    await house.until_recorded()
    answer = queries.RunAnswer.model_validate_json(await house.ask(auditor, "run", f'{{"run":"{run}"}}'))
    (snapshot,) = answer.snapshots
    assert snapshot.is_certified
    assert snapshot.rows == {"hr": 9}
    assert snapshot.unmapped == ("sites: 77 (2)",)
    (shown_refusal,) = answer.refusals
    assert (shown_refusal.person, shown_refusal.what) == ("otto", "approve")
    assert (shown_refusal.code, shown_refusal.text) == (refusal.code, refusal.text)
    assert [phase.status for phase in answer.phases] == [RunStatus.QUEUED]
    newest = queries.RunsAnswer.model_validate_json(await house.ask(auditor, "runs", '{"limit":1}'))
    assert [view.run for view in newest.runs] == [other]
    none = queries.RunsAnswer.model_validate_json(await house.ask(auditor, "runs", '{"connector":"other"}'))
    assert none.runs == ()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_retry_is_shown_sealed_and_verified_over_the_changes_that_it_tries_again(house: House) -> None:
    run, retry = new_run(), new_run()
    pages = [page_of(run, 1, tuple(change(number) for number in range(5)))]
    aside = Excluded(change_id=change(4).change_id, code="GRD_LIMIT")
    await publish_plan(house, run, plan_of(run, pages, excluded=(aside,)), pages)
    auditor = await house.auditor()
    first = NineCounts(planned=5, applied=2, failed=1, quarantined=2)
    await conclude(house, run, 0, "applied", None)
    await conclude(house, run, 1, "failed", "APL_UNREACHABLE")
    await conclude(house, run, 2, "quarantined", "APL_REFUSED_RECORD")
    await conclude(house, run, 3, "applied", None)
    await conclude(house, run, 4, "quarantined", "GRD_LIMIT")
    await house.say_state(run_state(run, RunStatus.PARTIAL, changes=5, counts=first))
    began = run_state(retry, RunStatus.APPLYING, changes=2).model_copy(update={"retry_of": run, "retry_plan_of": run})
    await house.say_state(began)
    await conclude(house, retry, 1, "applied", None)
    await house.until_recorded()
    answer = await ask_plan(house, auditor, retry)
    assert (answer.total, answer.excluded) == (2, 0)
    assert [(view.key, view.result) for view in answer.changes] == [("1001", "applied"), ("1002", None)]
    shown = queries.RunAnswer.model_validate_json(await house.ask(auditor, "run", f'{{"run":"{retry}"}}')).run
    assert shown is not None
    assert (shown.retry_of, shown.counts) == (run, NineCounts(planned=2, applied=1, not_attempted=1))
    await conclude(house, retry, 2, "applied", None)
    done = NineCounts(planned=2, applied=2)
    await house.say_state(began.model_copy(update={"status": RunStatus.SUCCEEDED, "counts": done}))
    await house.until_recorded()
    assert (await house.until_sealed(auditor, retry)).counts == done
    assert (await ask_plan(house, auditor, run)).total == 5
    sealed = queries.RunAnswer.model_validate_json(await house.ask(auditor, "run", f'{{"run":"{retry}"}}')).summary
    assert sealed is not None
    assert (sealed["counts"]["planned"], sealed["status"]) == (2, "succeeded")
    assert (await house.verified(auditor)).is_valid
    entries = queries.EntriesAnswer.model_validate_json(await house.ask(auditor, "entries")).entries
    assert [one for one in entries if one["type"] == facts.RecordMismatch.event_type and one["run"] == retry] == []


async def conclude(house: House, run: str, number: int, result: facts.Result, code: str | None) -> None:
    change_id = change(number).change_id
    outcome = facts.OutcomeRecorded(run=run, change_id=change_id, fencing_token=1, result=result, code=code)
    await house.say(outcome, facts.change_subject(run, change_id), run, service="applier")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_connections_in_quarantine_are_told_with_since_when_and_why(house: House) -> None:
    auditor = await house.auditor()
    note = FailureNote(code="APL_AUTH", text="401")
    sick = facts.ConnectionHealth(connection="mended", status="quarantined", since="s1", reason=note, run=None)
    well = facts.ConnectionHealth(connection="mended", status="healthy", since="s2", reason=None, run=None)
    ill = sick.model_copy(update={"connection": "titan", "probes": 3})
    for health in (sick, ill, well):
        subject = facts.connection_health_subject(health.connection)
        await house.say(health, subject, health.connection, service="applier")
    found = queries.HealthAnswer.model_validate_json(await house.ask(auditor, "health")).quarantined
    assert [(one.connection, one.since, one.reason, one.probes) for one in found] == [("titan", "s1", note, 3)]
