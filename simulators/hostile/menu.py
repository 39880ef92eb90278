"""All nastinesses by name: `NASTINESSES` is what a conformance test runs over."""

from __future__ import annotations

import re

from simulators.hostile import contents, encodings, framing, manners, walks
from simulators.hostile.script import Expect, Nastiness

NASTINESSES: tuple[Nastiness, ...] = tuple(
    entry for module in (contents, walks, encodings, framing, manners) for entry in module.CARD.entries
)
CUT_BYTES_MAX = 100_000
CUT_SURELY_BYTES = 100
"""Every honest answer has more bytes than this, so a cut before it leaves none whole."""

_BY_NAME = {nastiness.name: nastiness for nastiness in NASTINESSES}
_CUT_AT = re.compile(r"cut_at_([0-9]{1,6})")

if len(_BY_NAME) != len(NASTINESSES):
    raise AssertionError("two nastinesses have one name")


def named(name: str) -> Nastiness | None:
    """Find a nastiness; `cut_at_N` is one for every N: the honest answer is cut after N bytes."""
    cut = _CUT_AT.fullmatch(name)
    if cut is not None and int(cut[1]) <= CUT_BYTES_MAX:
        count = int(cut[1])
        why = f"The connection closes after {count} bytes of the honest answer, or after the whole of it."
        expect: Expect = "refuse" if count <= CUT_SURELY_BYTES else "either"
        return Nastiness(name=name, expect=expect, why=why, is_everywhere=True, act=framing.cut_after(count))
    return _BY_NAME.get(name)
