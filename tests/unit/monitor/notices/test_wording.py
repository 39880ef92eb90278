"""A notice says what is the matter, what to do and where to look, and nothing of a person."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from services.monitor.notices.channels import EmailChannel
from services.monitor.notices.conditions import KINDS, Condition
from services.monitor.notices.deciding import Due
from services.monitor.notices.mail import mail_of
from services.monitor.notices.web import SLACK_TEXT_CHARS_MAX, slack_message
from services.monitor.notices.wording import ACTIONS, ENDS, SENTENCES, House, notice_of, trial_of
from shared.failures import CATALOGUE

HOUSE = House("production", "https://aether.example.org")
AT = "2026-11-22T12:00:00.000Z"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUN = "20261122T083455-4k7zq2"
HELD = Condition(
    f"run_held/{RUN}", "run_held", AT, connector="staff", run=RUN, code="GRD_SOURCE_FELL", status="held",
    counts=(("changes", 143), ("approvals needed", 2)),
)  # fmt: skip
CHANNEL = EmailChannel.model_validate(
    {"name": "ops", "kind": "email", "host": "mail.example.org", "from": "aether@example.org",
     "to": ["a@example.org", "b@example.org"]}
)  # fmt: skip


def of(condition: Condition, change: str = "began", status: str | None = None) -> Due:
    return Due("began" if change == "began" else "ended", condition, status)


def test_every_kind_of_condition_has_its_words() -> None:
    for words in (SENTENCES, ACTIONS, ENDS):
        assert set(words) == set(KINDS)


def test_a_notice_says_what_is_the_matter_what_to_do_and_where_to_look() -> None:
    notice = notice_of([of(HELD)], channel="ops", house=HOUSE, at=AT)
    failure = CATALOGUE["GRD_SOURCE_FELL"]
    assert notice.title == "[aether production] staff: the guard holds a run"
    for part in (RUN, "changes 143", "approvals needed 2", failure.code, failure.text, failure.action):
        assert part in notice.text
    assert notice.link == f"https://aether.example.org/runs/{RUN}/plan"
    assert notice.document["condition"]["code_text"] == failure.text
    json.dumps(notice.document)


def test_an_end_says_so_and_answers_the_beginning() -> None:
    began = notice_of([of(HELD)], channel="ops", house=HOUSE, at=AT)
    ended = notice_of([of(HELD, "ended", "rejected")], channel="ops", house=HOUSE, at=AT)
    assert ended.title == "[aether production] over: staff: the guard holds a run"
    assert "State of that run now: rejected" in ended.text and "What to do" not in ended.text
    assert ended.reply_to == began.id != ended.id
    mails = [mail_of(notice, CHANNEL, now=NOW) for notice in (began, ended)]
    assert mails[1]["In-Reply-To"] == mails[0]["Message-ID"]


def test_the_same_notice_has_the_same_id_whenever_it_is_told_and_another_on_another_channel() -> None:
    one, again, other = (
        notice_of([of(HELD)], channel=channel, house=HOUSE, at=at).id
        for channel, at in (("ops", AT), ("ops", "2027"), ("phone", AT))
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        (Condition("1", "run_failed", AT, connector="staff", run=RUN), f"/runs/{RUN}"),
        (Condition("2", "schedule_paused", AT, connector="staff"), "/schedules"),
        (Condition("3", "connection_quarantined", AT, connection="hst"), "/systems"),
        (Condition("4", "alarm_raised", AT), "/audit"),
    ],
)
def test_the_link_leads_to_where_more_is_shown(condition: Condition, place: str) -> None:
    assert notice_of([of(condition)], channel="ops", house=HOUSE, at=AT).link == f"{HOUSE.console_url}{place}"
    assert notice_of([of(condition)], channel="ops", house=House("staging", None), at=AT).link is None


def test_a_mail_is_plain_and_says_that_a_program_wrote_it() -> None:
    mail = mail_of(notice_of([of(HELD)], channel="ops", house=HOUSE, at=AT), CHANNEL, now=NOW)
    assert mail.get_content_type() == "text/plain"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Sun, 22 Nov 2026 12:00:00 +0000"
    assert mail["To"] == "a@example.org, b@example.org"


def test_no_name_of_a_connector_can_become_a_header() -> None:
    evil = Condition("1", "run_failed", AT, connector="staff\r\nBcc: thief@example.org\r\n\r\nHello", run=RUN)
    mail = mail_of(notice_of([of(evil)], channel="ops", house=HOUSE, at=AT), CHANNEL, now=NOW)
    head = mail.as_bytes().split(b"\r\n\r\n")[0]
    assert mail["Bcc"] is None
    assert not any(line.lower().startswith(b"bcc") for line in head.split(b"\r\n"))


def test_slack_is_told_in_its_own_form_and_no_text_becomes_markup() -> None:
    evil = Condition("1", "run_failed", AT, connector="<!channel>&", run=RUN)
    message = slack_message(notice_of([of(evil)], channel="ops", house=HOUSE, at=AT))
    assert "&lt;!channel&gt;&amp;" in message["text"]
    assert "<!channel>" not in json.dumps(message)
    assert message["blocks"][-1]["text"]["text"] == f"<https://aether.example.org/runs/{RUN}|Open in the console>"


def test_a_long_summary_fits_into_a_block_of_slack() -> None:
    many = [of(Condition(f"{n}", "run_failed", AT, connector=f"c{n}" + "x" * 110, run=RUN)) for n in range(400)]
    message = slack_message(notice_of(many, channel="ops", house=HOUSE, at=AT))
    assert len(message["blocks"][0]["text"]["text"]) <= SLACK_TEXT_CHARS_MAX + 2


def test_a_summary_says_how_many_began_and_ended_and_how_many_more_there_are() -> None:
    many = [of(Condition(f"{n}", "run_failed", AT, connector=f"c{n}", run=RUN)) for n in range(30)]
    notice = notice_of([*many, of(HELD, "ended")], channel="ops", house=HOUSE, at=AT)
    assert notice.title == "[aether production] 31 conditions: 30 began, 1 ended"
    assert notice.lines[-1] == "and 11 more: a run failed (10); the guard holds a run (1)"
    assert len(notice.document["conditions"]) == 31


def test_a_trial_says_that_nothing_is_wrong() -> None:
    one = trial_of(channel="ops", house=HOUSE, at=AT, nonce="1")
    assert "Nothing is wrong" in one.text and one.document["type"] == "trial"
    assert one.id != trial_of(channel="ops", house=HOUSE, at=AT, nonce="2").id
