"""Protected records: which rows the list means, and that an entry which can mean nothing is refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from shared.contract import worked_example
from shared.contract.loading import load_connector
from shared.contract.problems import ContractInvalid
from shared.contract.protected import PROTECTED_FILE, Protection

FRAME = pl.DataFrame(
    {
        "key": ["A", "B", None, None, "E"],
        "target_id": ["1", "2", "3", None, "5"],
        "role": ["ADMIN", "AIDE", "admin ", "AIDE", None],
        "active": [True, True, False, None, False],
    }
)


def protection(*entries: dict[str, object]) -> Protection:
    return Protection(
        PROTECTED_FILE.validate_python({"users": [{"reason": "test", **entry} for entry in entries]})["users"]
    )


@pytest.mark.parametrize(
    ("entry", "rows"),
    [
        ({"key": "B"}, [1]),
        ({"key": "b"}, []),
        ({"target_id": "3"}, [2]),
        ({"where": [{"column": "role", "in": ["ADMIN"]}]}, [0]),
        ({"where": [{"column": "role", "in": ["ADMIN"], "steps": ["trim", "upper"]}]}, [0, 2]),
        ({"where": [{"column": "role", "equals": "AIDE"}, {"column": "active", "equals": True}]}, [1]),
        ({"where": [{"column": "role", "is_blank": True}]}, [4]),
    ],
)
def test_an_entry_means_these_rows(entry: dict[str, object], rows: list[int]) -> None:
    expected = [row in rows for row in range(FRAME.height)]
    assert protection(entry).is_protected(FRAME).to_list() == expected
    prefixed = FRAME.rename(lambda name: f"existing {name}")
    assert protection(entry).is_protected(prefixed, prefix="existing ").to_list() == expected


def test_entries_add_up() -> None:
    found = protection({"key": "A"}, {"target_id": "5"}, {"where": [{"column": "active", "equals": False}]})
    assert found.is_protected(FRAME).to_list() == [True, False, True, False, True]


def test_nothing_is_protected_without_a_list_and_the_answer_is_never_null() -> None:
    assert Protection().is_protected(FRAME).to_list() == [False] * 5
    assert Protection().is_protected(FRAME.clear()).dtype == pl.Boolean
    assert protection({"key": "A"}).is_protected(FRAME.clear()).to_list() == []


def test_a_desired_record_has_no_target_id_and_is_protected_by_its_key() -> None:
    found = protection({"key": "A"}, {"target_id": "1"}).is_protected(FRAME.drop("target_id"))
    assert found.to_list() == [True, False, False, False, False]


def test_a_frame_without_the_field_that_decides_is_refused() -> None:
    with pytest.raises(ValueError, match="no column 'role'"):
        protection({"where": [{"column": "role", "equals": "X"}]}).is_protected(FRAME.drop("role"))


def test_a_rule_may_ask_a_table(worked: Path) -> None:
    text = 'groups:\n  - {where: [{column: code, in_table: sites}], reason: "All of them"}\n'
    (worked / "protected.yaml").write_text(text, encoding="utf-8")
    frame = pl.DataFrame({"key": ["010", "999"], "code": ["010", "999"]})
    assert load_connector(worked).protection("groups").is_protected(frame).to_list() == [True, False]


def test_a_connector_without_a_list_protects_nothing(worked: Path) -> None:
    listed = load_connector(worked)
    (worked / "protected.yaml").unlink()
    unlisted = load_connector(worked)
    assert len(listed.protected["users"]) == 3
    assert unlisted.protected == {}
    assert listed.digest != unlisted.digest


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("users:", "people:", "1:1: 'people' is no entity of this connector; the entities are groups, users"),
        ("column: mail", "column: email", "4:23: 'email' is no field of users"),
        ("key: E1", "key: e1", "2:11: no record has the key 'e1': after steps and format it is 'E1'"),
        ("key: E1", "key: E1, target_id: x", "2:5: users.0: an entry has 2 of `key`, `target_id` and `where`"),
        ("{key: E1, reason: Administrator of the help desk}", "{key: E1}", "2:5: 'reason' is missing; add it"),
        ("{target_id: u-1", "{key: E1", "3:5: this record is named a second time; name it once"),
        ("matches: \"breakglass.*\"", "in_table: accounts", "4:39: there is no table 'accounts'"),
        ("reason: Account of", "why: Account of", "3:22: key 'why' is not part of the language"),
    ],
)  # fmt: skip
def test_an_entry_that_means_nothing_is_told_with_its_place(worked: Path, old: str, new: str, problem: str) -> None:
    path = worked / "protected.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ContractInvalid) as caught:
        load_connector(worked, worked_example.COLUMNS)
    told = [str(each) for each in caught.value.problems]
    assert any(line.startswith(f"helpdesk-people/protected.yaml:{problem}") for line in told), told
