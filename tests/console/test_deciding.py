"""Deciding in the console: what is signed, by whom, about which digest, and who is refused before that."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.asking.problem import CommandFailed
from shared.errors import AetherError
from shared.events.commands import DecideRun, Reply
from shared.events.queries import SubsetAnswer, SubsetQuery
from shared.hashing.signing import load_private_key, public_key_b64
from shared.plan.subset import left_out_root
from shared.policy.approval import Identities, PlanFacts, check_approval
from shared.policy.guard import Level
from tests.console.harness import CSRF, ConsoleUnderTest, console_under_test
from tests.console.waiting import OVER_AT, Waiting, waiting_plan

ROOT = f"sha256:{'5' * 64}"
REASON = "checked against the leavers of June"
Make = Callable[..., tuple[ConsoleUnderTest, Waiting]]


@pytest.fixture
def house_data(small_house: Path) -> Path:
    """A house whose plans the guard holds."""
    return small_house


@pytest.fixture
async def make(house_data: Path, own_record: Path) -> AsyncIterator[Make]:
    """Makes a console over a record in which a plan waits in a given way."""
    made: list[ConsoleUnderTest] = []

    def console(**how: Any) -> tuple[ConsoleUnderTest, Waiting]:
        waiting = waiting_plan(own_record, **how)
        made.append(console_under_test(house_data, audit_database=own_record))
        return made[-1], waiting

    yield console
    for one in made:
        await one.console.records.close()


def _form(waiting: Waiting, **more: Any) -> dict[str, Any]:
    return {"csrf": CSRF, "digest": waiting.digest, "reason": REASON, "override": "yes"} | more


def _judged(console: ConsoleUnderTest, waiting: Waiting, *, requester: str, level: Level) -> Callable[[Any], Any]:
    """What the differ does with a decision, over the keys that the console signs with."""

    def judge(body: DecideRun) -> Any:
        people = {
            name: {"roles": ("approver",), "approval_key": public_key_b64(load_private_key(key))}
            for name, key in console.acting.keys.items()
        }
        plan = PlanFacts(
            run=waiting.run,
            requester=requester,
            plan_digest=waiting.digest,
            verdict_digest=waiting.verdict_digest,
            verdict_level=level,
            changes_by_class={"suspend": 21},
            expires_at=OVER_AT,
        )
        try:
            check_approval(
                body.signed, plan=plan, identities=Identities.model_validate({"people": people}), earlier=(),
                now=datetime.now(UTC),
            )  # fmt: skip
        except AetherError as refused:
            return CommandFailed(refused.message, action="Ask another approver.", code=refused.code)
        return Reply(is_accepted=True, run=waiting.run, status="approved")

    return judge


async def test_an_approval_is_signed_over_the_digest_shown_and_counts(make: Make) -> None:
    console, waiting = make()
    console.acting.answers["approve"] = _judged(console, waiting, requester="operator", level=Level.HOLD)
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        text = (await browser.get(waiting.page)).text
        shown = re.search(r'name="digest" value="([^"]+)"', text)
        assert shown is not None
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting, digest=shown[1]))
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{waiting.run}?done=approved")
    [(user, act, body)] = console.acting.asked
    assert (user, act) == ("approver", "approve")
    approval = body.signed.approval
    assert (approval.plan_digest, approval.verdict_digest) == (waiting.digest, waiting.verdict_digest)
    assert (approval.approver, approval.reason, approval.subset) == ("approver", REASON, "ALL")
    assert approval.is_override is True


async def test_the_requester_gets_no_form_and_is_refused_by_the_house_when_sending_one(make: Make) -> None:
    console, waiting = make(requester="approver")
    console.acting.answers["approve"] = _judged(console, waiting, requester="approver", level=Level.HOLD)
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        text = (await browser.get(waiting.page)).text
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting))
    assert "You requested this run, so another person has to decide." in text
    assert f"{waiting.page}/approve" not in text
    assert f"{waiting.page}/part" not in text
    assert "<strong>approver2</strong>" in text
    assert answer.status_code == 409
    assert "APV_OWN_REQUEST" in answer.text


@pytest.mark.parametrize("roles", [(), ("viewer",), ("operator",), ("steward",), ("auditor",), ("admin",)])
async def test_who_is_no_approver_sees_whom_to_ask_and_cannot_decide(make: Make, roles: tuple[str, ...]) -> None:
    console, waiting = make()
    async with console.as_person("vera", *roles, stepped_up=True) as browser:
        text = (await browser.get(waiting.page)).text
        for act in ("approve", "reject", "choose", "part"):
            assert (await browser.post(f"{waiting.page}/{act}", data=_form(waiting))).status_code == 403, act
        for act in ("approve", "reject"):
            body = {"digest": waiting.digest, "reason": REASON}
            sent = await browser.post(f"/api/v1/runs/{waiting.run}/{act}", json=body, headers={"x-csrf-token": CSRF})
            assert sent.status_code == 403, act
    assert "Ask <strong>approver, approver2</strong>." in text
    assert 'name="reason"' not in text
    assert console.acting.asked == []


@pytest.mark.parametrize("act", ["approve", "reject", "choose", "part"])
async def test_a_form_without_the_token_of_the_session_does_nothing(make: Make, act: str) -> None:
    console, waiting = make()
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        for token in ({}, {"csrf": "another"}):
            form = {name: value for name, value in _form(waiting).items() if name != "csrf"} | token
            assert (await browser.post(f"{waiting.page}/{act}", data=form)).status_code == 403
    assert console.acting.asked == []


async def test_a_plan_that_changed_since_it_was_shown_is_not_signed(make: Make) -> None:
    console, waiting = make()
    other = f"sha256:{'1' * 64}"
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        for digest in (other, "", waiting.digest[:30]):
            answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting, digest=digest))
            assert answer.status_code == 409
            assert "nothing was signed" in answer.text
            assert waiting.digest in answer.text
        api = await browser.post(
            f"/api/v1/runs/{waiting.run}/approve", json={"digest": other, "reason": REASON, "override": True},
            headers={"x-csrf-token": CSRF},
        )  # fmt: skip
    assert (api.status_code, api.json()["error"]["code"]) == (409, "APV_WRONG_DIGEST")
    assert console.acting.asked == []


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
@pytest.mark.parametrize("act", ["approve", "reject"])
async def test_a_decision_needs_a_reason_of_bounded_length(make: Make, act: str, reason: str) -> None:
    console, waiting = make()
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        answer = await browser.post(f"{waiting.page}/{act}", data=_form(waiting, reason=reason))
    assert answer.status_code == 409
    assert f"the reason has {len(reason.strip())} characters, allowed 1 to 500" in answer.text
    assert console.acting.asked == []


async def test_a_held_plan_is_released_only_in_so_many_words(make: Make) -> None:
    console, waiting = make()
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        text = (await browser.get(waiting.page)).text
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting, override=""))
    override = text.partition('class="plan-override"')[2].partition("</fieldset>")[0]
    assert "suspend: 21 of 332 contacts (6.3 %), allowed 100 or 5 %, and 5 always" in override
    assert 'type="checkbox" name="override" value="yes" required' in override
    assert answer.status_code == 409
    assert "the guard holds the plan" in answer.text
    assert console.acting.asked == []


async def test_an_override_of_what_is_not_held_is_not_signed(make: Make) -> None:
    console, waiting = make(status="awaiting_approval", level="PASS")
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        text = (await browser.get(waiting.page)).text
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting))
    assert "plan-override" not in text
    assert answer.status_code == 409
    assert console.acting.asked == []


@pytest.mark.parametrize("how", [{}, {"status": "awaiting_approval", "level": "PASS"}])
async def test_a_destructive_plan_needs_identity_proved_again(make: Make, how: dict[str, Any]) -> None:
    console, waiting = make(**how)
    async with console.as_person("approver", "approver") as browser:
        text = (await browser.get(waiting.page)).text
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting, override="yes" if not how else ""))
        api = await browser.post(
            f"/api/v1/runs/{waiting.run}/approve",
            json={"digest": waiting.digest, "reason": REASON, "override": not how},
            headers={"x-csrf-token": CSRF},
        )
    assert f"{waiting.page}/approve" not in text
    step_up = f"/step-up?next=%2Fruns%2F{waiting.run}%2Fplan"
    assert step_up in html.unescape(text).replace("next=/runs/", "next=%2Fruns%2F").replace('/plan"', '%2Fplan"')
    assert (answer.status_code, answer.headers["location"]) == (303, step_up)
    assert api.status_code == 403
    assert console.acting.asked == []


async def test_creates_and_updates_within_limits_need_no_second_proof(make: Make) -> None:
    console, waiting = make(status="awaiting_approval", level="PASS", by_class={"create": 38, "update": 101})
    async with console.as_person("approver", "approver") as browser:
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting, override=""))
    assert answer.status_code == 303
    assert [act for _, act, _ in console.acting.asked] == ["approve"]


async def test_a_rejection_is_signed_and_needs_neither_override_nor_second_proof(make: Make) -> None:
    console, waiting = make()
    console.acting.answers["reject"] = _judged(console, waiting, requester="operator", level=Level.HOLD)
    async with console.as_person("approver", "approver") as browser:
        answer = await browser.post(f"{waiting.page}/reject", data=_form(waiting, override=""))
    assert answer.headers["location"] == f"/runs/{waiting.run}?done=rejected"
    [(_, act, body)] = console.acting.asked
    assert (act, body.signed.approval.decision, body.deferred) == ("reject", "reject", ())


async def test_who_left_no_key_with_the_console_is_led_to_the_command_line(make: Make) -> None:
    console, waiting = make()
    console.acting.approval_key_of = lambda user: None  # type: ignore[method-assign]  # as for a profile without a key
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting))
    assert answer.status_code == 403
    assert "keeps no approval key of approver" in answer.text
    assert f"aether approve {waiting.run}" in answer.text
    assert console.acting.asked == []


async def test_a_second_approver_is_another_person(make: Make) -> None:
    console, waiting = make(approved_by=("approver",))
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        first = (await browser.get(waiting.page)).text
    async with console.as_person("approver2", "approver", stepped_up=True) as browser:
        second = (await browser.get(waiting.page)).text
    assert "the second approval must be another person&#39;s" in first
    assert f"{waiting.page}/approve" not in first
    assert "1 more approval is needed" in second
    assert "checked against the list of the year" in second
    assert f'action="{waiting.page}/approve"' in second


@pytest.mark.parametrize("status", ["planned", "blocked", "rejected", "approved", "stale", "cancelled", "succeeded"])
async def test_nothing_can_be_decided_where_nothing_waits(make: Make, status: str) -> None:
    console, waiting = make(status=status)
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        text = (await browser.get(waiting.page)).text
    assert 'name="reason"' not in text
    assert 'name="leave_out"' not in text


async def test_an_ended_run_is_not_signed_for(make: Make) -> None:
    console, waiting = make(status="rejected")
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting))
    assert answer.status_code == 409
    assert "APV_WRONG_STATE" in answer.text
    assert console.acting.asked == []


# --- a part of the plan ---------------------------------------------------------------------------------------------


def _closing(waiting: Waiting, *, with_child: str | None = None, root: str = ROOT) -> Callable[[Any], Any]:
    """A differ that knows one change which builds on whatever is left out."""

    def answer(question: SubsetQuery) -> SubsetAnswer:
        given = question.left_out
        because = {with_child: given[0]} if with_child is not None and with_child not in given else {}
        out = tuple(sorted({*given, *because}))
        approved = len(waiting.ids) - len(out)
        return SubsetAnswer(
            run=question.run, plan_digest=waiting.digest, subset_root=root, approved=approved, left_out=out,
            because=because,
        )  # fmt: skip

    return answer


async def test_what_goes_along_is_shown_before_a_part_is_signed(make: Make) -> None:
    console, waiting = make()
    chosen, child = waiting.ids[0], waiting.ids[-1]
    console.acting.answers["subset"] = _closing(waiting, with_child=child)
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        part = await browser.post(f"{waiting.page}/part", data={"csrf": CSRF, "leave_out": [chosen]})
        form = dict(
            re.findall(r'name="(left_out|subset_root|digest)" value="([^"]*)"', part.text.partition("h-decide")[2])
        )
        assert [act for _, act, _ in console.acting.asked] == ["subset"]
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting, **form))
    assert "goes along" in part.text
    assert f"Approve these {len(waiting.ids) - 2} changes" in part.text
    assert answer.status_code == 303
    body = console.acting.asked[-1][2]
    assert body.signed.approval.subset == ROOT
    assert set(body.deferred) == {chosen, child}
    assert body.signed.approval.left_out_root == left_out_root([chosen, child])


async def test_a_differ_that_drops_what_was_ticked_is_not_believed(make: Make) -> None:
    console, waiting = make()
    other = waiting.ids[5]

    def answer(question: SubsetQuery) -> SubsetAnswer:
        approved = len(waiting.ids) - 1
        return SubsetAnswer(
            run=question.run, plan_digest=waiting.digest, subset_root=ROOT, approved=approved, left_out=(other,)
        )

    console.acting.answers["subset"] = answer
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        part = await browser.post(f"{waiting.page}/part", data={"csrf": CSRF, "leave_out": [waiting.ids[0]]})
        form = _form(waiting, left_out=waiting.ids[0], subset_root=ROOT)
        signed = await browser.post(f"{waiting.page}/approve", data=form)
    assert (part.status_code, signed.status_code) == (409, 409)
    assert {act for _, act, _ in console.acting.asked} == {"subset"}


@pytest.mark.parametrize("by", ["class:suspend", "entity:contacts"])
async def test_a_whole_group_can_be_left_out(make: Make, by: str) -> None:
    console, waiting = make()
    console.acting.answers["subset"] = _closing(waiting)
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        await browser.post(f"{waiting.page}/part", data={"csrf": CSRF, "leave_group": by})
    [(_, _, question)] = console.acting.asked
    expected = waiting.ids_of("suspend") if by == "class:suspend" else waiting.ids
    assert question.left_out == tuple(sorted(expected))


async def test_a_part_that_is_another_one_by_now_is_not_signed(make: Make) -> None:
    console, waiting = make()
    console.acting.answers["subset"] = _closing(waiting, root=f"sha256:{'6' * 64}")
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        answer = await browser.post(
            f"{waiting.page}/approve", data=_form(waiting, left_out=waiting.ids[0], subset_root=ROOT)
        )
    assert answer.status_code == 409
    assert "nothing was signed" in answer.text
    assert [act for _, act, _ in console.acting.asked] == ["subset"]


async def test_a_part_that_the_house_refuses_offers_no_form(make: Make) -> None:
    console, waiting = make()
    problem = "nothing would be left to carry out; reject the plan"
    console.acting.answers["subset"] = lambda question: SubsetAnswer(run=question.run, problem=problem)
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        part = await browser.post(f"{waiting.page}/part", data={"csrf": CSRF, "leave_out": [waiting.ids[0]]})
    assert problem in part.text
    assert f"{waiting.page}/approve" not in part.text


async def test_the_second_approver_signs_the_part_of_the_first(make: Make) -> None:
    console, waiting = make(approved_by=("approver",), subset=ROOT, deferred=2)
    console.acting.answers["subset"] = _closing(waiting)
    async with console.as_person("approver2", "approver", stepped_up=True) as browser:
        text = (await browser.get(waiting.page)).text
        form = dict(re.findall(r'name="(left_out|subset_root)" value="([^"]*)"', text))
        part = (await browser.get(f"{waiting.page}/part")).text
        answer = await browser.post(f"{waiting.page}/approve", data=_form(waiting, **form))
    assert "The first approval leaves 2 changes out." in text
    assert 'name="leave_out"' not in text
    assert answer.status_code == 303
    assert all(f"/plan/changes/{one}" in part for one in waiting.ids[:2])
    (_, _, question), (_, _, body) = console.acting.asked
    assert question.left_out == waiting.ids[:2]
    assert (body.signed.approval.subset, body.deferred) == (ROOT, waiting.ids[:2])
    assert body.signed.approval.left_out_root == left_out_root(waiting.ids[:2])


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "no change was ticked"),
        ({"leave_out": ["no-id"]}, "is no change id"),
        ({"left_out": " ".join(f"{number:064x}" for number in range(2_001))}, "2,001 changes would be left out"),
        ({"leave_group": "colour:red"}, "no such group"),
    ],
)
async def test_a_choice_that_cannot_be_is_refused_in_words(make: Make, form: dict[str, Any], said: str) -> None:
    console, waiting = make()
    async with console.as_person("approver", "approver", stepped_up=True) as browser:
        answer = await browser.post(f"{waiting.page}/part", data={"csrf": CSRF} | form)
    assert answer.status_code in {409, 422}
    assert said in html.unescape(answer.text)
    assert console.acting.asked == []
