"""Other people's client beside ours on one simulated Snipe-IT: what either writes, the other reads as it was meant.

`snipepy` (0.1.0) knows the same interface from the same documents and nothing of us. It takes HTML escapes back and
reads errors with status 200 as errors, as we do; where its models are narrower than the read shapes, the values here
leave those fields out.
"""

from __future__ import annotations

from typing import Any

import pytest
from snipepy import Config, Snipepy, SnipepyValidationError
from snipepy._http_client import HttpClient

from shared.errors import RecordRefused
from simulators.snipeit.access import Rights
from tests.simulators.running_snipeit import SECRETS, Snipe
from tests.systems.snipeit.conftest import Opened


def others(snipe: Snipe) -> Snipepy:
    config = Config(url=snipe.url, token=SECRETS[Rights.SUPERUSER])
    return Snipepy(config, HttpClient(config, max_retries=1, retry_after=0))


async def test_a_user_of_ours_is_what_their_client_reads(system: Opened) -> None:
    shown = await system.write(
        system.target(),
        "users",
        "create",
        employee_num="E9",
        username="dee",
        first_name='Dee "D"',
        last_name="O'Neil & <Co>",
        email="dee@district.example",
        jobtitle="R&D",
        location_id="2",
        manager_id="1",
        activated=True,
    )
    assert shown is not None
    theirs = others(system.snipe).users.get(int(str(shown["target_id"])))
    assert theirs.location is not None
    assert theirs.manager is not None
    read = (theirs.first_name, theirs.last_name, theirs.email, theirs.jobtitle, theirs.employee_num, theirs.activated)
    assert read == ('Dee "D"', "O'Neil & <Co>", "dee@district.example", "R&D", "E9", True)
    assert (theirs.location.id, theirs.location.name, theirs.manager.name) == (2, "South", shown["manager"])


async def test_what_their_client_writes_our_readings_hold(system: Opened) -> None:
    client = others(system.snipe)
    client.users.create("dee", "long enough", "long enough", 'Dee "D"', last_name="O'Neil & <Co>", employee_num="E9")
    client.assets.create("T4", 1, 1, name="Ada's & <Co>", serial="S4")
    client.assets.checkout_to_user(4, 4, note="for class")
    user = next(row for row in await system.rows("users") if row["employee_num"] == "E9")
    asset = next(row for row in await system.rows("hardware") if row["asset_tag"] == "T4")
    assert (user["first_name"], user["last_name"]) == ('Dee "D"', "O'Neil & <Co>")
    assert (asset["name"], asset["serial"], asset["holder_employee_num"]) == ("Ada's & <Co>", "S4", "E9")
    assert [row["checkout_key"] for row in await system.rows("checkouts")] == ["T1/E2", "T4/E9"]


async def test_both_read_the_same_lists(system: Opened) -> None:
    client = others(system.snipe)
    ours = [(row["target_id"], row["username"], row["location_id"]) for row in await system.rows("users")]
    theirs = [
        (str(user.id), user.username, None if user.location is None else str(user.location.id))
        for user in client.users.list_all(sort="id", order="asc")
    ]
    assert ours == theirs


async def test_an_asset_lent_by_us_is_lent_for_their_client_and_taken_back_for_it_too(system: Opened) -> None:
    target, client = system.target(), others(system.snipe)
    checkout: dict[str, Any] = {"checkout_key": "T2/E3", "asset_id": "2", "user_id": "3"}
    await system.write(target, "checkouts", "create", **checkout)
    lent = client.assets.get_by_asset_tag("T2").assigned_to
    assert lent is not None
    assert (lent.id, lent.type) == (3, "user")
    await system.write(target, "checkouts", "delete", "2")
    assert client.assets.get_by_asset_tag("T2").assigned_to is None


async def test_what_is_refused_to_us_is_refused_to_them(system: Opened) -> None:
    with pytest.raises(RecordRefused):
        await system.write(system.target(), "users", "delete", "2")
    with pytest.raises(SnipepyValidationError):
        others(system.snipe).users.delete(2)
