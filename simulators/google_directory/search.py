"""The query language of lists: clauses `field:value`, `field:prefix*` and `field=value`, all of which must hold (U16).

Pure: it works on the texts a record shows. Only the fields named here are known; another one is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from simulators.google_directory.errors import Refused

CLAUSES_MAX = 20
QUERY_LENGTH_MAX = 2_000
_CLAUSE = re.compile(r"""\s*([A-Za-z.]+)\s*([:=])\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)"|(\S+))""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One condition."""

    name: str
    is_exact: bool
    value: str

    def holds(self, texts: list[str]) -> bool:
        """Tell whether any text fits; case never matters."""
        wanted = self.value.lower()
        if self.is_exact:
            return any(text.lower() == wanted for text in texts)
        if wanted.endswith("*"):
            return any(text.lower().startswith(wanted[:-1]) for text in texts)
        return any(wanted in text.lower() for text in texts)


def clauses_of(query: str, *, known: frozenset[str]) -> list[Clause]:
    """Read a query; what cannot be read is refused."""
    clauses: list[Clause] = []
    position = 0
    while query[position:].strip():
        found = _CLAUSE.match(query, position)
        if found is None or len(clauses) == CLAUSES_MAX or len(query) > QUERY_LENGTH_MAX or found[1] not in known:
            raise Refused("invalid", "Invalid Input: query", rule="U16")
        value = next(text for text in found.groups()[2:] if text is not None)
        value = value.replace("\\'", "'")
        clauses.append(Clause(name=found[1], is_exact=found[2] == "=", value=value))
        position = found.end()
    return clauses


def all_hold(clauses: list[Clause], fields: Mapping[str, list[str]]) -> bool:
    """Tell whether a record fits every clause."""
    return all(clause.holds(fields[clause.name]) for clause in clauses)
