"""A day in a real browser over a real house: ask, watch, be refused, approve as another, watch, retry, verify.

Each person sits at a browser of their own. What the pages say is compared with what the vendor itself says was done.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from cli.stack import Stack
from tests.console.browsing import browser, needs_browser, password_of, seat

CONNECTOR = "titanhst-staff"
RUN_MS = 90_000
DECIDED_MS = 15_000
"""How long a decision takes at most to be shown on a busy machine."""
FAULTS_MAX = 100

pytestmark = [needs_browser, pytest.mark.slow, pytest.mark.timeout(420)]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path / "data", is_demo=True, has_console=True) as running:
        yield running


async def test_a_day_in_the_browser(stack: Stack) -> None:
    async with browser() as running, seat(running, stack, "operator") as operator:
        await _dry_run_is_watched_to_its_end(operator)
        assert (await _vendor(stack, "GET", "effects"))["effects"] == {}, "a dry-run changed something"
        run = await _requested(operator, "apply")
        await expect(_state(operator)).to_have_text(re.compile("awaiting approval|held"), timeout=RUN_MS)
        await _requester_is_shown_no_way_to_approve(operator, run)
        await _one_contact_cannot_be_written(stack)
        await _others_approve(running, stack, run)
        # Nobody touched the operator's page: it follows by itself.
        await operator.goto(f"/runs/{run}")
        await expect(_state(operator)).to_have_text(re.compile("partial"), timeout=RUN_MS)
        await _failed_changes_are_tried_again(operator, stack)
        await _audit_is_verified(running, stack, run)


async def _one_contact_cannot_be_written(stack: Stack) -> None:
    """The vendor answers 503 for as long as it is asked to change one contact that the plan changes."""
    truth = json.loads((stack.layout.district / "truth.json").read_bytes())
    changed = {key for key, fields in truth["fields"].items() if "external_id" not in fields}
    contacts = (await _vendor(stack, "GET", "state"))["contacts"]
    contact = next(each["id"] for each in contacts if each["externalId"] in changed)
    fault = {"kind": "server_error", "path_pattern": f"contacts/{contact}$", "method": "PATCH", "times": FAULTS_MAX}
    await _vendor(stack, "POST", "faults", fault)


async def _dry_run_is_watched_to_its_end(operator: Page) -> None:
    await _requested(operator, "dry-run")
    # No reload: what the page shows next came over the live stream.
    await expect(_state(operator)).to_have_text(re.compile("planned"), timeout=RUN_MS)


async def _requested(operator: Page, mode: str) -> str:
    await operator.goto("/runs")
    form = operator.locator("form.request__form")
    if not await form.is_visible():
        await operator.get_by_text("Request a run", exact=True).click()
    await form.get_by_label("Connector").select_option(CONNECTOR)
    await form.locator(f"input[name=mode][value={mode}]").check()
    await form.get_by_role("button", name="Request the run").click()
    await operator.wait_for_url(re.compile(r"/runs/\d{8}T\d{6}-\w+"))
    return operator.url.split("/runs/")[1].split("?")[0]


def _state(page: Page) -> Any:
    return page.locator("section[aria-label='State'] .badge").first


async def _requester_is_shown_no_way_to_approve(operator: Page, run: str) -> None:
    await operator.goto(f"/runs/{run}/plan")
    await expect(operator.locator("form[action$='/plan/approve']")).to_have_count(0)
    # A form of one's own making is refused as well, before anything is signed.
    token = await operator.locator("input[name=csrf]").first.get_attribute("value")
    answer = await operator.request.post(
        f"/runs/{run}/plan/approve",
        form={"csrf": token or "", "digest": "sha256:" + "0" * 64, "reason": "my own request"},
        headers={"origin": operator.url.split("/runs")[0]},
        max_redirects=0,
    )
    assert answer.status == 403
    await expect(operator.locator("form[action$='/plan/reject']")).to_have_count(0)


async def _others_approve(running: Browser, stack: Stack, run: str) -> None:
    for profile in ("approver", "approver2"):
        async with seat(running, stack, profile) as approver:
            await approver.goto("/")
            await approver.locator(f"a[href*='{run}']").first.click()
            await approver.goto(f"/runs/{run}/plan")
            proof = approver.get_by_role("link", name="Prove who you are")
            if await proof.count():
                await proof.click()
                await approver.get_by_label("Password", exact=True).fill(password_of(stack, profile))
                await approver.locator("main form button").last.click()
                await approver.wait_for_url(re.compile(f"^[^?]*/runs/{run}/plan"))
            override = approver.get_by_label(re.compile("release what the guard holds"))
            if await override.count():
                await override.check()
            await approver.get_by_label("Why you approve").fill("reviewed class by class")
            await approver.get_by_role("button", name=re.compile(r"^Approve (all )?\d")).click()
            await approver.wait_for_url(re.compile("done=approved"))
            # The page shows what the auditor has recorded, a moment later; it stays so if another must approve too.
            with contextlib.suppress(AssertionError):
                await expect(_state(approver)).not_to_have_text(
                    re.compile("awaiting approval|held"), timeout=DECIDED_MS
                )
                return
    raise AssertionError(f"run {run} still waits after two approvals")


async def _failed_changes_are_tried_again(operator: Page, stack: Stack) -> None:
    await _vendor(stack, "DELETE", "faults")
    await operator.reload()
    await operator.get_by_label("Why", exact=True).fill("the vendor has mended it")
    await operator.get_by_role("button", name=re.compile("^Retry|^Try")).click()
    await operator.wait_for_url(re.compile("done=retried"))
    await expect(_state(operator)).to_have_text(re.compile("succeeded"), timeout=RUN_MS)
    effects = (await _vendor(stack, "GET", "effects"))["effects"]
    assert effects, "the vendor knows of no effect"
    assert {len(each) for each in effects.values()} == {1}, "a change was carried out twice"


async def _audit_is_verified(running: Browser, stack: Stack, run: str) -> None:
    async with seat(running, stack, "auditor") as auditor:
        await auditor.goto(f"/audit?run={run}")
        await expect(auditor.locator("tbody tr").first).to_be_visible()
        await auditor.goto("/audit")
        await auditor.get_by_role("button", name=re.compile("^Verify")).click()
        # The sign-in itself is an entry that no checkpoint covers yet, so the log holds "as far as it is signed".
        await expect(auditor.get_by_role("heading", name=re.compile("^.*The log holds"))).to_be_visible(timeout=60_000)


async def _vendor(stack: Stack, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=stack.vendor_url) as vendor:
        answer = await vendor.request(method, f"/_sim/{path}", json=body)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json() if answer.content else {}
        return document
