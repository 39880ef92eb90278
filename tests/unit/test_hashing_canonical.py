"""Canonical JSON against the published RFC 8785 vectors, and the refusal of what has no canonical form."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from shared.hashing.canonical import (
    INTEGER_MAX,
    CanonicalJsonError,
    canonical_json,
    canonical_json_of_plain,
    digest_of,
    sha256_hex,
)

# Input and output of the RFC's reference test set, under its names there.
REFERENCE: dict[str, tuple[str, str]] = {
    "arrays": ('[56, {"d": true, "10": null, "1": [ ]}]', '[56,{"1":[],"10":null,"d":true}]'),
    "french": (
        '{"peach": "This sorting order", "péché": "is wrong according to French",'
        ' "pêche": "but canonicalization MUST", "sin": "ignore locale"}',
        '{"peach":"This sorting order","péché":"is wrong according to French",'
        '"pêche":"but canonicalization MUST","sin":"ignore locale"}',
    ),
    "structures": (
        r'{"1": {"f": {"f": "hi","F": 5} ,"\n": 56.0}, "10": { }, "": "empty", "a": { },'
        r' "111": [ {"e": "yes","E": "no" } ], "A": { }}',
        r'{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{"E":"no","e":"yes"}],"A":{},"a":{}}',
    ),
    "unicode": (r'{"Unnormalized Unicode":"A\u030a"}', '{"Unnormalized Unicode":"A\u030a"}'),
    "values": (
        r'{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        r' "string": "\u20ac$\u000F\u000aA'
        r"'\u0042\u0022\u005c\\\"\/"
        r'", "literals": [null, true, false]}',
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    ),
    "weird": (
        r'{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\u000a": "Newline", "1": "One",'
        r' "\u0080": "Control\u007f", "\ud83d\ude02": "Smiley",'
        r' "\u00f6": "Latin Small Letter O With Diaeresis",'
        r' "\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge"}',
        r'{"\n":"Newline","\r":"Carriage Return","1":"One","</script>":"Browser Challenge",'
        '"\u0080":"Control\u007f","\u00f6":"Latin Small Letter O With Diaeresis","\u20ac":"Euro Sign",'
        '"\U0001f602":"Smiley","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    ),
}

# RFC 8785 appendix B: the bits of a double and its text.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize("name", REFERENCE)
def test_published_documents_have_their_published_form(name: str) -> None:
    source, expected = REFERENCE[name]
    assert canonical_json(json.loads(source)) == expected.encode()


@pytest.mark.parametrize(("bits", "expected"), NUMBERS)
def test_published_numbers_have_their_published_form(bits: str, expected: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(number) == expected.encode()


_cycle: list[Any] = []
_cycle.append(_cycle)


@pytest.mark.parametrize(
    ("value", "pointer", "words"),
    [
        ({"a": [1, {"b": math.nan}]}, "/a/1/b", "not finite"),
        ([0, math.inf], "/1", "not finite"),
        (-math.inf, "", "the top of the document"),
        ({"n": INTEGER_MAX + 1}, "/n", str(INTEGER_MAX)),
        ({"n": -INTEGER_MAX - 1}, "/n", "as a string"),
        ({"x": {3: "three"}}, "/x", "keys must be strings"),
        ({"x": {b"k": 1}}, "/x", "keys must be strings"),
        ({"a/b": {"c~d": {1}}}, "/a~1b/c~0d", "a set"),
        ({"k": ["\ud800"]}, "/k/0", "surrogate"),
        ({"k": {"\udfff": 1}}, "/k", "surrogate"),
        ({"z": math.nan, "a": math.inf}, "/z", "not finite"),
    ],
)
def test_what_has_no_canonical_form_is_refused_with_its_pointer(value: object, pointer: str, words: str) -> None:
    with pytest.raises(CanonicalJsonError, match=words) as caught:
        canonical_json(value)
    assert caught.value.pointer == pointer


def test_a_value_that_contains_itself_is_refused() -> None:
    with pytest.raises(CanonicalJsonError, match="contains itself"):
        canonical_json(_cycle)
    # Sorted, the number comes first; the search for its pointer walks through the cycle, and must end.
    with pytest.raises(CanonicalJsonError, match="at /b: the float nan"):
        canonical_json({"c": _cycle, "b": math.nan})


def test_refusal_never_shows_text_that_may_be_personal() -> None:
    with pytest.raises(CanonicalJsonError) as caught:
        canonical_json({"mail": "pat@example.org\ud800"})
    assert "pat" not in str(caught.value)


@pytest.mark.parametrize("number", [INTEGER_MAX, -INTEGER_MAX])
def test_the_largest_exact_integers_pass(number: int) -> None:
    assert canonical_json(number) == str(number).encode()


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_canonical_form_reads_back_equal_and_is_its_own_canonical_form(value: object) -> None:
    once = canonical_json(value)
    # A large float is written without exponent or point; a reader that knows only doubles, as RFC 8785 has it in
    # mind, reads the same number again.
    again = json.loads(once, parse_int=float)
    assert again == value
    assert canonical_json(again) == once


# What is written quickly: no float, keys in ASCII. Texts are of all of Unicode.
PLAIN_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner)
    ),
    max_leaves=20,
)


@given(JSON_VALUES | PLAIN_VALUES)
def test_canonical_form_is_that_of_the_reference_writer(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)


@given(PLAIN_VALUES)
def test_plain_values_have_the_form_that_the_standard_library_gives_them(value: object) -> None:
    # For keys in ASCII its order is the RFC's, and so are its escapes; it shares no code with either writer.
    expected = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert canonical_json(value) == expected
    assert canonical_json_of_plain(value) == expected


@pytest.mark.parametrize("first", range(0, 0x110000, 0x10000))
def test_every_character_is_written_as_the_reference_writer_does(first: int) -> None:
    signs = [chr(number) for number in range(first, first + 0x10000) if not 0xD800 <= number <= 0xDFFF]
    assert canonical_json(signs) == rfc8785.dumps(signs)
    text = "".join(signs)
    assert canonical_json(text) == rfc8785.dumps(text)
    key = {text: text}
    assert canonical_json(key) == rfc8785.dumps(key)


def test_keys_are_sorted_by_utf_16_units_and_not_by_code_points() -> None:
    # U+1F602 is the larger code point, and begins with the smaller unit (0xD83D).
    assert canonical_json({"\ufb33": 1, "\U0001f602": 2}) == '{"\U0001f602":2,"\ufb33":1}'.encode()
    assert canonical_json({"a\ufb33": 1, "a\U0001f602": 2, "b": 0}) == '{"a\U0001f602":2,"a\ufb33":1,"b":0}'.encode()


class _Loud(str):
    """A text whose own notion of itself must not leak into a digest."""

    def __str__(self) -> str:
        return "LOUD"


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        -0.0,
        [1, 2.0],
        {"a": (1, [{"b": 1e300}])},
        {"é": 1},
        {"a": [{"\u2028": 1}]},
        _Loud("quiet"),
        {_Loud("key"): 1},
        [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]],
    ],
)
def test_what_orjson_would_write_otherwise_goes_to_the_reference_writer(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rfc8785.dumps(value)
    monkeypatch.setattr(orjson, "dumps", lambda *_, **__: pytest.fail("written by orjson"))
    assert canonical_json(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "text",
        None,
        True,
        -7,
        {},
        [],
        {"a": None, "b": False},
        {"changes": [{"key": "é", "fields": ({"name": "n", "after": 1},)}], "n": [[[["deep"]]]]},
        ['\u2028\u0000\u001f\u007f\u0080\\"/\U0001f602'],
    ],
)
def test_plain_values_do_not_wait_for_the_reference_writer(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rfc8785.dumps(value)
    monkeypatch.setattr(rfc8785, "dumps", lambda _: pytest.fail("written by the reference writer"))
    assert canonical_json(value) == expected


@pytest.mark.parametrize(
    ("value", "pointer", "words"),
    [
        ({"n": [INTEGER_MAX + 1]}, "/n/0", str(INTEGER_MAX)),
        ({"n": -(2**70)}, "/n", "71 bits"),
        ({"n": "\ud800"}, "/n", "surrogate"),
        ({3: 1}, "", "keys must be strings"),
        ([{1}], "/0", "a set"),
    ],
)
def test_values_that_were_thought_plain_are_refused_alike(value: object, pointer: str, words: str) -> None:
    with pytest.raises(CanonicalJsonError, match=words) as caught:
        canonical_json_of_plain(value)
    assert caught.value.pointer == pointer


def test_order_of_keys_never_changes_the_digest() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


def test_digests_have_the_well_known_values() -> None:
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # SHA-256 of the two bytes "{}", as any sha256sum prints it.
    assert digest_of({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
