"""What happens to the sources on a later night: changes made in place to an HR database of the sample district.

For tests and demonstrations of what must hold a run back. It touches hr_person only, and never the truth document:
who calls these functions states what should come of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import bindparam, create_engine, func, select

from simulators.district.databases import HR

_PERSON = HR.tables["hr_person"]
_NAME_WIDTH = 40
"""Of preferred_first, padded like all text of fixed width."""


def half_of_source_gone(hr_url: str) -> int:
    """Delete every second row of hr_person, in the order of person_id, and say how many went."""
    return _delete(hr_url, step=2)


def source_empty(hr_url: str) -> int:
    """Delete every row of hr_person and say how many went; the table stays."""
    return _delete(hr_url, step=1)


def touch_people(hr_url: str, n: int, *, among: Collection[str] | None = None) -> dict[str, str]:
    """Give n employees another preferred name, edited a day after all else; returns external id → new first name.

    Takes employees with a single row of status A, in the order of person_id, so that the row found is the row that
    counts. `among` narrows them to these external ids, for instance those that a truth document calls unchanged.
    """
    engine = create_engine(hr_url)
    try:
        with engine.begin() as connection:
            rows = connection.execute(
                select(_PERSON.c.person_id, _PERSON.c.employee_id, _PERSON.c.status_code).order_by(_PERSON.c.person_id)
            ).all()
            times_seen = Counter(_plain(spelled) for _, spelled, _ in rows)
            chosen: dict[int, str] = {}
            for person_id, spelled, status in rows:
                if len(chosen) == n:
                    break
                key = _plain(spelled)
                is_plain = key != "" and times_seen[key] == 1 and _plain(status) == "A"
                if is_plain and (among is None or key in among):
                    chosen[person_id] = key
            if len(chosen) < n:
                raise ValueError(f"touch_people: {n} asked for, {len(chosen)} employees fit; ask for fewer")
            edited_at = connection.execute(select(func.max(_PERSON.c.edited_at))).scalar_one() + timedelta(days=1)
            new = {key: f"Touched {_letters(number)}" for number, key in enumerate(chosen.values())}
            if chosen:
                connection.execute(
                    _PERSON.update()
                    .where(_PERSON.c.person_id == bindparam("row"))
                    .values(preferred_first=bindparam("name"), edited_at=edited_at),
                    [{"row": person_id, "name": new[key].ljust(_NAME_WIDTH)} for person_id, key in chosen.items()],
                )
            return new
    finally:
        engine.dispose()


def _plain(text: str | None) -> str:
    return (text or "").strip().upper()


def _letters(number: int) -> str:
    """Spell a number in letters, as a name has no digits: 0 → A, 25 → Z, 26 → BA."""
    text = ""
    while True:  # bounded by the digits of the number in base 26
        number, digit = divmod(number, 26)
        text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + text
        if number == 0:
            return text


def _delete(hr_url: str, *, step: int) -> int:
    engine = create_engine(hr_url)
    try:
        with engine.begin() as connection:
            ids = connection.execute(select(_PERSON.c.person_id).order_by(_PERSON.c.person_id)).scalars().all()[::step]
            if ids:
                connection.execute(
                    _PERSON.delete().where(_PERSON.c.person_id == bindparam("row")), [{"row": each} for each in ids]
                )
            return len(ids)
    finally:
        engine.dispose()
