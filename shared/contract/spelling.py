"""The steps that look at a text sign by sign, in plain Python: capitals of names and character references of HTML.

Pure. Columns take these steps through `shared.contract.steps`, once for each distinct value.
"""

from __future__ import annotations

import html
import re

_PARTICLES = frozenset(
    {"da", "das", "de", "del", "della", "di", "do", "dos", "du", "la", "las", "los", "y"}  # Romance languages
    | {"den", "der", "van", "von", "zu"}  # Dutch and German
)
_ORDINALS = frozenset(("ii", "iii", "iv", "vi", "vii", "viii"))
_WORD = re.compile(r"\S+")
_AFTER_HYPHEN = re.compile(r"(-)(\w)")
_AFTER_LETTER_AND_APOSTROPHE = re.compile(r"((?:^|-)\w['\u2019])(\w)")
_AFTER_MC = re.compile(r"((?:^|-)Mc)(\w)")


def unescaped(text: str) -> str:
    """The text with its HTML 5 character references replaced, once."""
    return html.unescape(text)


def proper_name(text: str) -> str:
    """A name written in one case only with capitals where they belong; any other name as it is."""
    if text not in (text.lower(), text.upper()):
        return text
    words = list(_WORD.finditer(text))
    parts: list[str] = []
    end = 0
    for place, found in enumerate(words):
        parts.append(text[end : found.start()])
        word = found.group().lower()
        if word in _PARTICLES and 0 < place < len(words) - 1:
            parts.append(word)
        elif word in _ORDINALS and place > 0:
            parts.append(word.upper())
        else:
            parts.append(_capitalised(word))
        end = found.end()
    return "".join([*parts, text[end:]])


def _capitalised(word: str) -> str:
    """A word of small letters with its capitals."""
    word = word[:1].title() + word[1:]
    for place in (_AFTER_HYPHEN, _AFTER_LETTER_AND_APOSTROPHE, _AFTER_MC):
        word = place.sub(_with_capital, word)
    return word


def _with_capital(found: re.Match[str]) -> str:
    return found.group(1) + found.group(2).title()
