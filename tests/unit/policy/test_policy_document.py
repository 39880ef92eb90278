"""A policy is read from a document whole or not at all, and every fault is named by its place."""

from __future__ import annotations

import json

import pytest

from shared.errors import NeedsPerson
from shared.policy.limits import DEFAULT_POLICY, Limit, policy_with
from shared.policy.policy_document import POLICY_BYTES_MAX, policy_from_document

GOOD = """\
schema_version: 1
limits:
  suspend: {count: 40, percent: 2.5}
  delete: {count: 5}
  create: {is_off: true}
  source_fell: {warn_percent: 1}
cohort_records_min: 30
"""


def test_document_sets_some_limits_and_leaves_the_rest() -> None:
    policy = policy_from_document(GOOD, file="policy.yaml")
    assert policy.classes["suspend"] == Limit(count=40, percent=2.5, floor=5)
    assert policy.classes["delete"] == Limit(count=5, percent=1, floor=2)
    assert policy.classes["create"] == Limit(count=250, percent=10, floor=10, is_off=True)
    assert policy.source_fell == Limit(percent=10, floor=20, warn_percent=1)
    assert (policy.cohort_records_min, policy.group_members_min) == (30, 10)
    assert policy.classes["update"] == DEFAULT_POLICY.classes["update"]
    assert policy.digest != DEFAULT_POLICY.digest


def test_empty_policy_is_the_default_and_json_is_read_as_well() -> None:
    assert policy_from_document("schema_version: 1\n", file="policy.yaml") == DEFAULT_POLICY
    text = json.dumps({"schema_version": 1, "limits": {"create": {"count": 3}}, "group_members_min": 4}, indent=2)
    policy = policy_from_document(text, file="policy.json")
    assert (policy.classes["create"].count, policy.group_members_min) == (3, 4)


def test_document_stands_on_the_policy_that_is_given() -> None:
    house = policy_with({"create": Limit(count=1)})
    policy = policy_from_document("schema_version: 1\nlimits: {suspend: {count: 2}}\n", file="p", base=house)
    assert (policy.classes["create"], policy.classes["suspend"].count) == (Limit(count=1), 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: {}\n", "p.yaml:1:1: schema_version: Field required; correct it here"),
        ("schema_version: 2\n", "p.yaml:1:17: schema_version: Input should be 1; correct it here"),
        ("schema_version: 1\nlimit: {}\n", "p.yaml:2:8: limit: Extra inputs are not permitted; correct it here"),
        (
            "schema_version: 1\nlimits:\n  suspend:\n    count: -1\n",
            "p.yaml:4:12: limits.suspend.count: Input should be greater than or equal to 0; correct it here",
        ),
        (
            "schema_version: 1\nlimits:\n  suspend: {count: yes}\n",
            "p.yaml:3:20: limits.suspend.count: Input should be a valid integer; correct it here",
        ),
        (
            "schema_version: 1\nlimits:\n  suspend: {percent: 101}\n",
            "p.yaml:3:22: limits.suspend.percent: Input should be less than or equal to 100; correct it here",
        ),
        (
            "schema_version: 1\nlimits:\n  suspends: {count: 1}\n",
            "p.yaml:3:3: no limit is named 'suspends'; write one of",
        ),
        (
            "schema_version: 1\nlimits:\n  ambiguous: {is_off: true}\n",
            "p.yaml:3:23: ambiguous is a check and cannot be off; set count: 0 to hold every one",
        ),
        (
            "schema_version: 1\nlimits:\n  null_out: {percent: 100}\n",
            "p.yaml:3:13: no active limit covers changes of class null_out; set count, or percent below 100",
        ),
        ("schema_version: 1\nschema_version: 1\n", "stands here a second time"),
        ("", "p.yaml:1:1: the file is empty"),
        ("[1", "this is not YAML"),
        ("a", "p.yaml:1:1: the policy: Input should be a valid dictionary"),
        ("#" * (POLICY_BYTES_MAX + 1), "p.yaml:1:1: the policy has more than 65,536 bytes; shorten it"),
    ],
)
def test_fault_is_named_by_its_place(text: str, told: str) -> None:
    with pytest.raises(NeedsPerson) as error:
        policy_from_document(text, file="p.yaml")
    assert error.value.code == "GRD_POLICY"
    assert told in error.value.message
    assert error.value.message.startswith("policy p.yaml has 1 problems:\n")


def test_all_faults_are_told_at_once_and_their_number_is_bounded() -> None:
    names = "".join(f"  unknown{n}: {{count: 1}}\n" for n in range(60))
    with pytest.raises(NeedsPerson) as error:
        policy_from_document(f"schema_version: 1\nlimits:\n{names}", file="p.yaml")
    lines = error.value.message.splitlines()
    assert lines[0] == "policy p.yaml has 60 problems:"
    assert lines[-1] == "… and 10 more"
    assert len(lines) == 52
