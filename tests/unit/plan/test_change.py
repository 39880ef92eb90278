"""Ids, leaves and asides in their bytes: as the RFC's reference writer and the standard library's HMAC give them."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from typing import Any

import rfc8785
from hypothesis import given

from shared.plan.change import Aside, Change, ChangeClass, aside_leaf_of, change_id_of, leaf_of
from shared.plan.document import asides_digest_of
from tests.unit.plan.plan_builder import change, header
from tests.unit.plan.random_changes import ASIDES, CHANGES, TEXT

KEY = bytes(range(32)).hex()
PINNED = [
    "45e89a88b8ddda7ef0ec96364422ec007eebf6570e18550c477a2202f1b0d735",
    "7b0cae063094673c0b506a4a2ab77e1855f27652cbc8caa213fda075be8c20a6",
    "e9638de9e552485ef5bcd9d485991e5346472ff6d9601f3fe92114c36da4f206",
]


def committed(key: str, value: Any) -> str:
    return "hmac-sha256:" + hmac.new(bytes.fromhex(key), rfc8785.dumps(value), hashlib.sha256).hexdigest()


@given(CHANGES)
def test_leaf_is_the_canonical_form_of_the_change_with_commitments_for_values(one: Change) -> None:
    document = one.model_dump(mode="json")
    key = document.pop("commitment_key")
    del document["marks"]
    cohort = document.pop("cohort")
    if cohort is not None:
        document["cohort"] = committed(key, cohort)
    document["class"] = document.pop("change_class")
    document["key"] = committed(key, document["key"])
    document["write"]["body"] = committed(key, document["write"]["body"])
    for field in document["fields"]:
        field["before"], field["after"] = committed(key, field["before"]), committed(key, field["after"])
    assert leaf_of(one) == rfc8785.dumps(document)


def test_leaf_written_once_is_the_same_for_ever() -> None:
    # Changes when a plan that was approved before an upgrade would have another digest after it.
    digests = [
        hashlib.sha256(leaf_of(change(number, kind))).hexdigest()
        for number, kind in enumerate((ChangeClass.UPDATE, ChangeClass.CREATE, ChangeClass.SUSPEND), start=1)
    ]
    assert digests == PINNED


@given(target=TEXT, entity=TEXT, key=TEXT)
def test_change_id_is_the_hash_of_its_canonical_form(target: str, entity: str, key: str) -> None:
    document = {"target": target, "entity": entity, "key": key, "class": "rename", "after": "hmac-sha256:00"}
    made = change_id_of(
        target=target, entity=entity, key=key, change_class=ChangeClass.RENAME, after_commitment="hmac-sha256:00"
    )
    assert made == hashlib.sha256(rfc8785.dumps(document)).hexdigest()


# --- asides ---------------------------------------------------------------------------------------------------------


def aside(number: int, **altered: Any) -> Aside:
    plain = Aside(
        entity="contacts",
        key=f"E{number}",
        target_id=f"t-{number}",
        change_class=ChangeClass.SUSPEND,
        fields=("active",),
        code="DIF_FIRST_MISS",
        commitment_key=KEY,
    )
    return plain.model_copy(update=altered)


@given(ASIDES)
def test_leaf_of_an_aside_is_its_canonical_form_with_a_commitment_for_the_key(one: Aside) -> None:
    document = one.model_dump(mode="json")
    key = document.pop("commitment_key")
    document["class"] = document.pop("change_class")
    document["key"] = None if key is None else committed(key, document["key"])
    assert aside_leaf_of(one) == rfc8785.dumps(document)


def test_asides_have_one_digest_in_any_order() -> None:
    asides = [
        aside(1),
        aside(2),
        aside(2, code="DIF_HELD"),
        aside(2, change_class=ChangeClass.DELETE),
        aside(2, fields=("role",)),
        aside(2, target_id=None),
    ]
    digests = {asides_digest_of(order) for order in itertools.permutations(asides)}
    assert len(digests) == 1


def test_every_altered_left_out_or_repeated_aside_alters_the_digest() -> None:
    asides = [aside(1), aside(2)]
    others = [
        [aside(1)],
        [aside(1), aside(2), aside(2)],
        [aside(1), aside(3)],
        [aside(1), aside(2, entity="students")],
        [aside(1), aside(2, target_id="t-9")],
        [aside(1), aside(2, change_class=ChangeClass.DELETE)],
        [aside(1), aside(2, fields=())],
        [aside(1), aside(2, code="DIF_HELD")],
        [aside(1), aside(2, commitment_key=KEY[::-1])],
    ]
    digests = {asides_digest_of(one) for one in [asides, *others]}
    assert len(digests) == 1 + len(others)
    assert None not in digests


def test_nothing_left_out_has_no_digest() -> None:
    assert asides_digest_of([]) is None
    assert header([change(1)]).asides_digest is None


def test_digest_of_one_aside_is_its_leaf_hash() -> None:
    expected = hashlib.sha256(b"\x00" + aside_leaf_of(aside(1))).hexdigest()
    assert asides_digest_of(iter([aside(1)])) == f"sha256:{expected}"


def test_leaf_of_an_aside_shows_no_key() -> None:
    assert b"Marker" not in aside_leaf_of(aside(1, key="Marker Person"))
    assert b"Marker" not in aside_leaf_of(aside(1, key="Marker Person", commitment_key=None))
