"""The columnar steps against a slow reference that takes one row at a time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from services.extractor.normalise import Normalised, Rules
from shared.contract.loading import Connector
from tests.unit.extractor.settling import desired

WHITE_SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
LETTERS = "aAzZéE\u0301ß.'-Iİς"
NAMES = st.none() | st.text(alphabet=LETTERS + WHITE_SPACE, max_size=8) | st.text(max_size=6)
MAILS = (
    st.none() | st.text(alphabet="aB.@- \u00a0+", max_size=10) | st.from_regex(r"\A[aB]{1,3}@[xY.]{1,4}\.[oO]{1,3}\Z")
)
PHONES = (
    st.none() | st.text(alphabet="0123456789+-() x٣", max_size=16) | st.from_regex(r"\A\+?1?[2-9]{3}[ -]?[0-9]{7}\Z")
)


def name_of(raw: str | None) -> str | None:
    if raw is None:
        return None
    words = [word for word in re.split(f"[{WHITE_SPACE}]+", raw) if word]
    return unicodedata.normalize("NFC", " ".join(words)) or None


def mail_of(raw: str | None) -> tuple[str | None, bool]:
    """The address, and whether it is implausible."""
    text = (raw or "").strip(WHITE_SPACE).lower()
    if not text:
        return None, False
    local, _, domain = text.rpartition("@")
    labels = domain.split(".")
    is_good = (
        bool(local)
        and "@" not in local
        and not set(text) & set(WHITE_SPACE)
        and len(labels) >= 2
        and all(labels)
        and len(labels[-1]) >= 2
    )
    return (text, False) if is_good else (None, True)


def phone_of(raw: str | None) -> str | None:
    digits = "".join(sign for sign in raw or "" if sign in "0123456789")
    if len(digits) == 11 and digits[0] == "1":
        digits = digits[1:]
    return f"+1{digits}" if len(digits) == 10 else None


def is_blank(raw: str | None) -> bool:
    return not (raw or "").strip(WHITE_SPACE)


@settings(deadline=None)  # a slow machine is no defect
@given(st.lists(st.tuples(NAMES, MAILS, MAILS, PHONES, PHONES), min_size=1, max_size=8))
def test_columns_and_rows_agree(staff_connector: Connector, people: list[tuple[str | None, ...]]) -> None:
    result = normalised(staff_connector, people)
    expected, faulty = {}, set()
    for number, (name, aeries_mail, hr_mail, hr_mobile, cell) in enumerate(people):
        mail, is_bad = mail_of(hr_mail if is_blank(aeries_mail) else aeries_mail)
        key = f"E{number}"
        if is_bad or name_of(name) is None:
            faulty.add(key)
        else:
            expected[key] = (name_of(name), mail, phone_of(cell if is_blank(hr_mobile) else hr_mobile))
    found = {
        key: tuple(values) for key, *values in result.records.select("key", "last_name", "email", "mobile").iter_rows()
    }
    assert found == expected
    assert set(result.quarantined_keys) == faulty


def normalised(connector: Connector, people: list[tuple[str | None, ...]]) -> Normalised:
    keys = [f"E{number}" for number in range(len(people))]

    def column(place: int) -> pl.Series:
        return pl.Series([person[place] for person in people], dtype=pl.String)

    person = pl.DataFrame({"employee_id": keys, "person_id": range(len(keys)), "edited_at": "2026", "status_code": "A"})
    person = person.with_columns(
        last=column(0), work_email=column(2), mobile=column(3), first=pl.lit("Ana"), preferred_first=pl.lit(None)
    )
    aeries = pl.DataFrame({"hr_id": keys, "id": range(len(keys))})
    aeries = aeries.with_columns(email=column(1), cell=column(4), inactive_code=pl.lit(""))
    job = pl.DataFrame({"employee_id": keys, "seq": 1, "is_primary": True, "start_date": "2020"})
    job = job.with_columns(site_code=pl.lit("010"), job_class_code=pl.lit("0101"), end_date=pl.lit(None))
    frames = {"person": person, "job": job, "aeries": aeries}
    return desired(connector.definition.entities["contacts"], Rules(tables=connector.tables), frames)


def test_the_reference_refuses_and_accepts(staff_connector: Connector) -> None:
    check: Callable[[str], bool] = lambda text: mail_of(text)[1]  # noqa: E731 - one line says it
    assert [check(text) for text in ("a@b.org", "a@b", "a@b.o", "")] == [False, True, True, False]
    assert phone_of("1 916 555 0152") == "+19165550152"
