"""The few marks of Markdown that runbooks and glossary use, as HTML: paragraphs, lists, tables, bold, code, links.

Pure. Everything is escaped before it is marked up, so a page can show no mark that is not made here. Links to other
files of the documents become text, for these are not served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from markupsafe import Markup, escape

DOCUMENT_CHARS_MAX: Final = 400_000

_HEADING: Final = re.compile(r"(#{1,4}) +(.+)")
_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`|\*\*(?P<bold>[^*\n]+)\*\*|\*(?P<soft>[^*\n]+)\*|\[(?P<text>[^\]\n]+)\]\((?P<to>[^)\s]+)\)"
)
_TABLE_RULE: Final = re.compile(r"\|[-:| ]+\|?")


def sections(document: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Level, title and lines of every section, in order; what stands before the first heading has level 0."""
    level, title, lines = 0, "", list[str]()
    for line in document[:DOCUMENT_CHARS_MAX].splitlines():
        if (heading := _HEADING.fullmatch(line)) is None:
            lines.append(line)
            continue
        yield level, title, tuple(lines)
        level, title, lines = len(heading[1]), heading[2].strip(), []
    yield level, title, tuple(lines)


def html(lines: Sequence[str], *, caption: str = "") -> Markup:
    """The lines of one section; `caption` names its tables for people who do not see them."""
    return Markup("\n").join(_blocks(lines, caption))


def inline(text: str) -> Markup:
    """One line with its bold words, code and links."""
    parts: list[Markup] = []
    at = 0
    for found in _INLINE.finditer(text):
        parts += [escape(text[at : found.start()]), _marked(found)]
        at = found.end()
    return Markup().join([*parts, escape(text[at:])])


def _marked(found: re.Match[str]) -> Markup:
    if (code := found["code"]) is not None:
        return Markup("<code>{}</code>").format(code)
    if (bold := found["bold"]) is not None:
        return Markup("<strong>{}</strong>").format(bold)
    if (soft := found["soft"]) is not None:
        return Markup("<em>{}</em>").format(soft)
    if found["to"].startswith("https://"):
        return Markup('<a href="{}" rel="noreferrer">{}</a>').format(found["to"], found["text"])
    return escape(found["text"])


def _blocks(lines: Sequence[str], caption: str) -> Iterator[Markup]:
    at = 0
    while at < len(lines):
        line = lines[at]
        end = at + 1
        if not line.strip():
            pass
        elif line.startswith("|"):
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            yield _table(lines[at:end], caption)
        elif line.startswith("- "):
            while end < len(lines) and lines[end].startswith(("- ", "  ")):
                end += 1
            items = Markup().join(Markup("<li>{}</li>").format(inline(one)) for one in _items(lines[at:end]))
            yield Markup("<ul>{}</ul>").format(items)
        else:
            while end < len(lines) and lines[end].strip() and not lines[end].startswith(("- ", "|")):
                end += 1
            yield Markup("<p>{}</p>").format(inline(" ".join(one.strip() for one in lines[at:end])))
        at = end


def _items(lines: Sequence[str]) -> list[str]:
    """The items of a list; lines that are set in go on with the item before."""
    items: list[str] = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:].strip())
        else:
            items[-1] += f" {line.strip()}"
    return items


def _table(lines: Iterable[str], caption: str) -> Markup:
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in lines
        if _TABLE_RULE.fullmatch(line.strip()) is None
    ]
    head = Markup().join(Markup('<th scope="col">{}</th>').format(inline(cell)) for cell in rows[0])
    body = Markup().join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            inline(row[0]), Markup().join(Markup("<td>{}</td>").format(inline(cell)) for cell in row[1:])
        )
        for row in rows[1:]
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table aria-label="{0}">'
        "<thead><tr>{1}</tr></thead><tbody>{2}</tbody></table></div>"
    ).format(caption or "Table", head, body)
