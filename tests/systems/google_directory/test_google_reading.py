"""What is particular to reading google_directory: how a whole list is proven, and how refusals are told apart."""

from __future__ import annotations

import pytest

from shared.errors import NeedsPerson, StopRun, TryLater
from simulators.google_directory.keys import new_key
from simulators.google_directory.methods import SCOPES
from tests.simulators.running_google_directory import ACCOUNT, ADMIN, seed
from tests.systems.google_directory.conftest import House, read


def many(count: int) -> dict[str, object]:
    """A group of many, one of a few, a nested one and one with somebody from outside."""
    return seed(
        count,
        groups=[
            {
                "id": "g1",
                "email": "all@school.example",
                "members": [{"email": f"p{n}@school.example"} for n in range(1, count + 1)],
            },
            {"id": "g2", "email": "few@school.example", "members": [{"email": "p1@school.example", "role": "OWNER"}]},
            {"id": "g3", "email": "nest@school.example", "members": [{"email": "few@school.example"}]},
            {"id": "g4", "email": "out@school.example", "members": [{"email": "x@elsewhere.example"}]},
            {"id": "g5", "email": "none@school.example"},
        ],
    )


async def test_memberships_of_all_groups_are_read_several_at_once_in_one_order(house: House) -> None:
    house.google.begin(many(23))
    source = house.source(page_size=5, groups_in_flight=3)
    reading = source.read("members")
    pages = [page async for page in reading]
    rows = [row for page in pages for row in page.rows.iter_rows(named=True)]
    assert [page.rows.height for page in pages] == [5, 5, 5, 5, 5, 1]
    assert reading.expected is not None
    assert reading.expected.rows == len(rows) == 26
    assert [row["membership_key"] for row in rows] == [row["membership_key"] for row in await read(source, "members")]
    by_key = {row["membership_key"]: row for row in rows}
    assert by_key["few@school.example/p1@school.example"]["role"] == "OWNER"
    assert by_key["nest@school.example/few@school.example"]["type"] == "GROUP"
    assert by_key["out@school.example/x@elsewhere.example"]["target_id"] is not None
    await house.close()


async def test_a_group_that_says_another_number_than_it_lists_is_never_taken_for_whole(house: House) -> None:
    house.google.begin(many(23))
    source = house.source(page_size=10)
    house.google.arm("short_page", path_pattern="/groups/g1/members", after=2)
    with pytest.raises(StopRun, match="says it has 23") as caught:
        await read(source, "members")
    assert caught.value.code == "SRC_UNSTABLE"
    # Where the two differ for good, a person can say so; what is read then proves nothing.
    house.google.arm("short_page", path_pattern="/groups/g1/members", after=2)
    lenient = house.source(page_size=10, member_counts="ignored")
    reading = lenient.read("members")
    assert [page async for page in reading]
    assert reading.expected is None
    await house.close()


async def test_the_last_page_cut_short_is_noticed_by_the_walk_the_other_way(house: House) -> None:
    house.google.begin(seed(22))
    house.google.arm("short_page", path_pattern="/users$", after=2)
    source = house.source(page_size=10)
    with pytest.raises(StopRun, match="opposite") as caught:
        await read(source, "users")
    assert caught.value.code == "SRC_UNSTABLE"
    await house.close()


async def test_a_user_made_while_the_list_is_read_makes_it_unsteady(house: House) -> None:
    house.google.begin(seed(12))
    source = house.source(page_size=5)
    reading = aiter(source.read("users"))
    await anext(reading)
    made = house.google.api.post(
        "/users",
        json={
            "primaryEmail": "late@school.example",
            "password": "correct-horse",
            "name": {"givenName": "L", "familyName": "T"},
        },
    )
    assert made.is_success
    with pytest.raises(StopRun) as caught:
        [page async for page in reading]
    assert caught.value.code == "SRC_UNSTABLE"
    await house.close()


async def test_units_come_whole_and_the_root_is_none_of_them(house: House) -> None:
    rows = await read(house.source(), "org_units")
    assert [(row["org_unit_path"], row["parent_path"]) for row in rows] == [
        ("/Staff", "/"),
        ("/Staff/North Side", "/Staff"),
    ]
    assert all(str(row["target_id"]).startswith("id:") for row in rows)
    await house.close()


async def test_deleted_users_are_no_users(house: House) -> None:
    house.google.api.delete("/users/p1@school.example")
    rows = await read(house.source(), "users")
    assert sorted(str(row["email"]) for row in rows) == [ADMIN, "p2@school.example", "p3@school.example"]
    await house.close()


async def test_a_domain_narrows_users_groups_and_memberships(house: House) -> None:
    assert await read(house.source(domain="other.example"), "users") == []
    assert await read(house.source(domain="other.example"), "members") == []
    assert len(await read(house.source(domain="school.example"), "users")) == 4
    narrow = house.source(group_prefix="al")
    assert [row["email"] for row in await read(narrow, "groups")] == ["all@school.example"]
    assert [row["group_email"] for row in await read(narrow, "members")] == ["all@school.example"]
    with pytest.raises(NeedsPerson, match="domain") as caught:
        await read(house.source(domain="unknown.example"), "users")
    assert caught.value.code == "SRC_CONFIG"
    await house.close()


@pytest.mark.parametrize("reason", ["userRateLimitExceeded", "quotaExceeded", "rateLimitExceeded"])
async def test_a_403_that_is_a_rate_is_waited_out_and_told(house: House, reason: str) -> None:
    house.google.switch(refuse_with=reason, refuse_every=2)
    assert len(await read(house.source(page_size=2), "users")) == 4
    assert house.pacer.asked
    assert set(house.pacer.asked) == {None}
    await house.close()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("forbidden", "administrator role"),
        ("accessNotConfigured", "not enabled"),
        ("domainCannotUseApis", "does not allow"),
    ],
)
async def test_a_403_that_is_a_right_needs_a_person_and_no_second_try(house: House, reason: str, text: str) -> None:
    house.google.switch(refuse_with=reason)
    source = house.source()
    with pytest.raises(NeedsPerson, match=text) as caught:
        await read(source, "users")
    assert (caught.value.code, house.slept) == ("SRC_AUTH", [])
    findings = await source.check()
    assert {(finding.subject, finding.is_good) for finding in findings} == {("permission", False)}
    await house.close()


async def test_a_503_is_asked_again_and_an_end_put_to_it(house: House) -> None:
    house.google.switch(refuse_with="backendError")
    with pytest.raises(TryLater) as caught:
        await read(house.source(), "groups")
    assert caught.value.code == "SRC_UNREACHABLE"
    assert len(house.slept) == 4
    await house.close()


async def test_a_token_is_renewed_before_it_ends(house: House) -> None:
    house.google.begin(seed(12))
    house.google.switch(token_seconds=600)
    reading = aiter(house.source(page_size=5).read("users"))
    await anext(reading)
    house.google.clock.pass_seconds(599)
    assert [page async for page in reading]
    await house.close()


async def test_a_page_token_that_is_not_taken_any_more_means_read_anew(house: House) -> None:
    house.google.begin(seed(12))
    house.google.switch(page_token_seconds=60)
    reading = aiter(house.source(page_size=5).read("users"))
    await anext(reading)
    house.google.clock.pass_seconds(120)
    with pytest.raises(StopRun) as caught:
        [page async for page in reading]
    assert caught.value.code == "SRC_UNSTABLE"
    await house.close()


# --- no token -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "subject", "text"),
    [
        ("unauthorized_client", "permission", "delegated"),
        ("access_denied", "permission", "denied"),
        ("admin_policy_enforced", "permission", "policy"),
        ("invalid_grant", "authentication", "subject"),
    ],
)
async def test_errors_of_the_token_endpoint_are_told_apart(house: House, error: str, subject: str, text: str) -> None:
    house.google.switch(token_refusal=error)
    source = house.source()
    with pytest.raises(NeedsPerson, match=text) as caught:
        await read(source, "users")
    assert caught.value.code == "SRC_AUTH"
    assert {(one.subject, one.is_good) for one in await source.check()} == {(subject, False)}
    await house.close()


async def test_a_subject_that_is_nobody_and_a_foreign_key_are_told_apart(house: House) -> None:
    with pytest.raises(NeedsPerson, match="correct `subject`") as caught:
        await read(house.source(subject="nobody@school.example"), "users")
    assert "nobody@" not in str(caught.value)
    foreign, _ = new_key(client_email=ACCOUNT, token_uri=f"{house.google.url}/token", scopes=SCOPES)
    with pytest.raises(NeedsPerson, match="not one of the service account's"):
        await read(house.source(foreign), "users")
    other, _ = new_key(client_email="x@y.example", token_uri=f"{house.google.url}/token", scopes=SCOPES)
    with pytest.raises(NeedsPerson, match="does not exist"):
        await read(house.source(other), "users")
    await house.close()


async def test_a_subject_who_may_see_users_only_is_told_list_by_list(house: House) -> None:
    house.google.begin(seed(3, adminRoles=[{"user": "p1@school.example", "resources": ["users"]}]))
    findings = await house.source(subject="p1@school.example").check()
    assert [(one.subject, one.is_good) for one in findings] == [
        ("network", True),
        ("authentication", True),
        ("shape", True),
        ("permission", False),
        ("permission", False),
        ("permission", False),
    ]
    await house.close()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"type": "authorized_user"}, "type service_account"),
        ({"client_email": ""}, "no client_email"),
        ({"private_key": "-----BEGIN NOTHING-----"}, "no private key that can be read"),
    ],
)
async def test_a_key_file_that_is_none_is_named_and_never_shown(
    house: House, change: dict[str, str], text: str
) -> None:
    key = {"type": "service_account", "client_email": "a@b.example", "private_key": "k", "private_key_id": "i"}
    with pytest.raises(NeedsPerson, match=text) as caught:
        await read(house.source({**key, "token_uri": f"{house.google.url}/token", **change}), "users")
    assert caught.value.code == "SYS_SECRET"
    assert "env:KEY" in str(caught.value)
    assert "BEGIN" not in str(caught.value)
    await house.close()
