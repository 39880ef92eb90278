"""Which rows the lists of a simulated Snipe-IT show, and what walks through them may and may not do: README rules L."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulators.snipeit.world import is_deleted_user, world
from tests.simulators.running_snipeit import SORTED, Snipe, running_snipeit

USERS = 230


@pytest.fixture(scope="module")
def shared_snipe() -> Iterator[Snipe]:
    with running_snipeit(world(seed=7, users=USERS, assets=120)) as running:
        yield running


@pytest.fixture
def snipe(shared_snipe: Snipe) -> Snipe:
    """A simulator whose rows no test changes."""
    shared_snipe.control.delete("/faults")
    shared_snipe.control.delete("/switches")
    state = shared_snipe.state() | {"violations": []}
    assert shared_snipe.control.put("/state", json=state).status_code == 204
    return shared_snipe


def walk(snipe: Snipe, path: str, *, limit: int, **query: object) -> list[int]:
    found: list[int] = []
    while True:
        page = snipe.get(path, limit=limit, offset=len(found), **query)
        found += [row["id"] for row in page["rows"]]
        if not page["rows"] or len(found) >= page["total"]:
            return found


LIVE = [number for number in range(1, USERS + 1) if not is_deleted_user(number)]


def test_a_walk_sorted_by_id_meets_every_row_once(snipe: Snipe) -> None:  # L1, L4
    assert walk(snipe, "/users", limit=50, **SORTED) == LIVE
    assert snipe.violations() == []


def test_a_walk_without_sort_meets_some_rows_twice_and_others_never(snipe: Snipe) -> None:  # L4
    found = walk(snipe, "/users", limit=50)
    assert len(found) == len(LIVE)
    assert set(found) < set(LIVE)
    assert set(snipe.violations()) == {"L4"}
    snipe.switch(has_unstable_ties=False)
    assert sorted(walk(snipe, "/users", limit=50)) == LIVE


def test_one_page_never_shows_a_row_twice_and_keeps_the_order(snipe: Snipe) -> None:  # L4
    rows = snipe.get("/users", limit=100, offset=50, sort="first_name", order="asc")["rows"]
    names = [row["first_name"].casefold() for row in rows]
    assert names == sorted(names)
    assert len({row["id"] for row in rows}) == 100


def test_the_order_is_descending_unless_asked_otherwise(snipe: Snipe) -> None:  # L5
    assert [row["id"] for row in snipe.get("/users", sort="id", limit=3)["rows"]] == LIVE[:-4:-1]


def test_an_unknown_sort_is_replaced_by_the_default(snipe: Snipe) -> None:  # L5
    names = [row["first_name"] for row in snipe.get("/users", sort="shoe_size", order="asc")["rows"]]
    assert names == sorted(names, key=str.casefold)
    assert snipe.violations() == ["L5", "L4"]


@pytest.mark.parametrize("limit", [0, 501, 100_000])
def test_no_limit_zero_and_too_much_give_the_longest_page(snipe: Snipe, limit: int) -> None:  # L2
    snipe.switch(max_results=200)
    assert len(snipe.get("/users", limit=limit, **SORTED)["rows"]) == 200
    assert len(snipe.get("/users", **SORTED)["rows"]) == 200
    assert snipe.violations() == (["L2"] if limit > 200 else [])


def test_an_offset_beyond_the_end_gives_no_rows(snipe: Snipe) -> None:  # L1
    assert snipe.get("/users", offset=5_000, **SORTED) == {"total": len(LIVE), "rows": []}


def test_page_is_ignored(snipe: Snipe) -> None:  # L3
    first = snipe.get("/users", limit=10, page=1, **SORTED)
    assert snipe.get("/users", limit=10, page=2, **SORTED) == first
    assert snipe.violations() == ["L3", "L3"]


def test_search_looks_for_a_part_of_any_text_without_regard_to_case(snipe: Snipe) -> None:  # L6
    assert snipe.ids("/users", search="USER17@") == [17]
    assert snipe.ids("/users", search="e000017") == [17]
    full_name = snipe.state()["users"][16]
    assert 17 in snipe.ids("/users", search=f"{full_name['first_name']} {full_name['last_name']}".upper())
    assert snipe.ids("/hardware", search="sn00000007") == [7]
    assert snipe.ids("/users", search="nobody at all") == []


def test_filter_is_a_json_object_of_parts_by_column(snipe: Snipe) -> None:  # L7
    assert snipe.ids("/users", filter='{"username":"USER22"}') == [22, *range(220, 230)]
    assert len(snipe.ids("/users", filter="username=user22")) == len(LIVE)
    assert snipe.violations() == ["L7"]


@pytest.mark.parametrize(
    ("query", "column"),
    [
        ({"employee_num": "e000042"}, "employee_num"),
        ({"username": "USER42"}, "username"),
        ({"email": "user42@bristlecone-usd.example"}, "email"),
    ],
)
def test_a_column_filters_by_its_whole_value_without_regard_to_case(
    snipe: Snipe, query: dict[str, str], column: str
) -> None:  # L8
    assert snipe.ids("/users", **query) == [42]
    assert snipe.ids("/users", **{column: query[column][1:]}) == []
    assert snipe.violations() == []


def test_filters_by_reference_flag_and_count_narrow_together(snipe: Snipe) -> None:  # L8
    rows = snipe.state()["users"]
    live = [row for row in rows if row["deleted_at"] is None]
    there = [row["id"] for row in live if row["location_id"] == 7]
    assert snipe.ids("/users", location_id=7) == there
    assert snipe.ids("/users", location_id=7, department_id=1) == [
        row["id"] for row in live if row["location_id"] == 7 and row["department_id"] == 1
    ]
    assert snipe.ids("/users", activated=0) == []
    assert len(snipe.ids("/users", vip="false")) == len(LIVE)
    holders = {row["assigned_to"] for row in snipe.state()["hardware"]}
    assert set(snipe.ids("/users", assets_count=0)) == set(LIVE) - holders
    assert snipe.ids("/users", location_id=7, deleted="true") == [
        row["id"] for row in rows if row["location_id"] == 7 and row["deleted_at"] is not None
    ]


def test_a_parameter_that_no_list_knows_is_ignored_and_shows_everybody(snipe: Snipe) -> None:  # L9
    assert len(snipe.ids("/users", employee_number="E000042")) == len(LIVE)
    assert snipe.violations() == ["L9"]


def test_assets_are_filtered_by_what_they_are_and_who_has_them(snipe: Snipe) -> None:  # H6
    assets = snipe.state()["hardware"]
    shown = [asset for asset in assets if asset["status_id"] != 3]

    def expected(**wanted: Any) -> list[int]:
        return [asset["id"] for asset in shown if all(asset[name] == value for name, value in wanted.items())]

    holder = next(asset["assigned_to"] for asset in shown if asset["assigned_to"])
    held = expected(assigned_to=holder, assigned_type="user")
    assert snipe.ids("/hardware", assigned_to=holder, assigned_type="App\\Models\\User") == held
    assert snipe.ids("/hardware", assigned_to=holder, assigned_type="location") == []
    assert snipe.ids("/hardware", category_id=2) == expected(model_id=2)
    assert snipe.ids("/hardware", manufacturer_id=1, location_id=3) == expected(model_id=1, location_id=3)
    assert snipe.ids("/hardware", asset_tag="000007") == [7]
    mac = next(asset["_snipeit_mac_address_1"] for asset in shown if "_snipeit_mac_address_1" in asset)
    assert len(snipe.ids("/hardware", _snipeit_mac_address_1=mac)) == 1


def test_the_index_hides_archived_assets_unless_asked(snipe: Snipe) -> None:  # H4
    assert 50 not in snipe.ids("/hardware")
    assert snipe.get("/hardware", **SORTED)["total"] == 118
    assert snipe.ids("/hardware", status="Archived") == snipe.ids("/hardware", status_id=3) == [50, 100]
    assert snipe.get("/hardware/50")["status_label"]["status_type"] == "archived"
    snipe.switch(shows_archived=True)
    assert len(snipe.ids("/hardware")) == 120


def test_the_words_for_a_status_choose_assets(snipe: Snipe) -> None:  # H5
    shown = [asset for asset in snipe.state()["hardware"] if asset["status_id"] == 1]
    free = [asset["id"] for asset in shown if asset["assigned_to"] is None]
    assert snipe.ids("/hardware", status="RTD") == free
    assert snipe.ids("/hardware", status="Deployed") == sorted({asset["id"] for asset in shown} - set(free))
    for word in ("Deleted", "Pending", "Undeployable", "Requestable", "byod"):
        assert snipe.ids("/hardware", status=word) == []


def test_lists_of_a_place_hold_its_users_and_its_assets(snipe: Snipe) -> None:
    users = [row["id"] for row in snipe.state()["users"] if row["location_id"] == 7 and row["deleted_at"] is None]
    assert [row["id"] for row in snipe.get("/locations/7/users")["rows"]] == users
    assets = [row["id"] for row in snipe.state()["hardware"] if row["location_id"] == 7]
    assert [row["id"] for row in snipe.get("/locations/7/assets")["rows"]] == assets
    assert snipe.violations() == []


def test_page_faults_strike_lists(snipe: Snipe) -> None:
    snipe.arm("short_page", items_missing=2)
    short = snipe.get("/users", limit=50, **SORTED)
    assert [len(short["rows"]), short["total"]] == [48, len(LIVE)]
    assert [row["id"] for row in snipe.get("/users", limit=50, offset=48, **SORTED)["rows"]] == LIVE[50:100]
    snipe.arm("repeated_page", path_pattern="/hardware$")
    pages = [snipe.get("/hardware", limit=10, offset=offset, **SORTED)["rows"] for offset in (0, 10)]
    assert pages[0] == pages[1]


def test_a_world_is_the_same_for_the_same_seed_and_has_the_awkward_cases() -> None:
    made = world(seed=7, users=USERS, assets=120)
    assert made == world(seed=7, users=USERS, assets=120)
    assert made != world(seed=8, users=USERS, assets=120)
    numbers = [row["employee_num"] for row in made["users"]]
    assert numbers[0] == numbers[1]
    assert len(set(numbers) - {None}) == USERS - 1 - numbers.count(None)
    assert None in numbers
    assert any("'" in row["last_name"] for row in made["users"])
    with pytest.raises(ValueError, match="users"):
        world(seed=1, users=-1)
