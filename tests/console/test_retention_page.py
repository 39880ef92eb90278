"""Retention: every stream and table of the policy is on the page, what is plain first."""

from __future__ import annotations

from shared.retention import RETENTION
from tests.console.harness import ConsoleUnderTest


async def test_the_whole_policy_is_shown(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/retention")).text
        rows = (await browser.get("/api/v1/retention")).json()["kept"]
    assert {row["place"] for row in rows} == {one.place for one in RETENTION}
    assert all(row["place"] in text for row in rows)
    assert rows[0]["personal"] == "plain"
    plan = next(row for row in rows if row["place"] == "stream PLAN")
    assert (plan["kept_seconds"], plan["enforced_by"]) == (30 * 86_400, "the server, by age")
