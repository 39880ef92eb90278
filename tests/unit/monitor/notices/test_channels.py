"""The document of channels is read whole or refused with file, line, value and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.monitor.notices.__main__ import EXIT_SETTINGS, EXIT_USAGE, run
from services.monitor.notices.channels import ChannelsInvalid, EmailChannel, load_channels
from services.monitor.notices.conditions import KINDS
from services.monitor.notices.settings import NoticeSettings

GOOD = """\
channels:
  - name: ops
    kind: email
    host: mail.example.org
    user: aether
    password: env:MAIL_PASSWORD
    from: aether@example.org
    to: [ops@example.org, night@example.org]
  - name: pager
    kind: webhook
    url: https://pager.example.org/in
    secret: file:/run/secrets/pager
    conditions: [alarm_raised, run_failed]
    connectors: [staff]
    notices_a_minute: 5
  - name: chat
    kind: slack
    url: env:SLACK_URL
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "notices.yaml"


def test_a_document_of_all_kinds_is_read(place: Path) -> None:
    place.write_text(GOOD)
    mail, hook, chat = load_channels(place)
    assert isinstance(mail, EmailChannel)
    assert (mail.sender, mail.security, mail.port) == ("aether@example.org", "starttls", 587)
    assert mail.interest.kinds == frozenset(KINDS) and mail.interest.connectors is None
    assert hook.interest.kinds == {"alarm_raised", "run_failed"} and hook.interest.connectors == frozenset({"staff"})
    assert chat.notices_a_minute == 20


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("kind: slack", "kind: fax", ":16:5: channels.2: Input tag 'fax'"),
        ("host: mail.example.org", "host: https://mail.example.org/", ":4:5: channels.0.host: 'https://mail.exam"),
        ("from: aether@example.org", 'from: "a@example.org\\r\\nBcc: x@example.org"', ":7:5: channels.0.from:"),
        ("night@example.org", '"night@example.org, other@example.org"', ":8:27: channels.0.to.1: 'night@"),
        ("night@example.org", '"<night@example.org>"', ":8:27: channels.0.to.1:"),
        ("password: env:MAIL_PASSWORD", "password: hunter2", ":6:5: channels.0.password: is no reference"),
        ("    password: env:MAIL_PASSWORD\n", "", ":2:5: channels.0: user and password go together"),
        ("host: mail.example.org", "host: mail.example.org\n    security: none", "security: none sends in the clear"),
        (
            "host: mail.example.org",
            "host: mail.example.org\n    security: none\n    allow_unencrypted: true",
            "security: none would send the password in the clear",
        ),
        ("url: https://pager", "url: http://pager", ":9:5: channels.1: url: http:// goes in the clear"),
        ("url: https://pager", "url: ftp://pager", ":11:5: channels.1.url: is no web address"),
        ("url: https://pager", "url: https://me:secret@pager", "holds a user or a password"),
        ("url: env:SLACK_URL", "url: https://hooks.slack.example/T0/B0/verysecret", "is no reference to a secret"),
        ("[alarm_raised, run_failed]", "[alarm_raised, run_late]", ":13:32: channels.1.conditions.1: Input should be"),
        ("[alarm_raised, run_failed]", "[]", "name at least one each, or all"),
        ("notices_a_minute: 5", "notices_a_minute: 500", ":15:5: channels.1.notices_a_minute: Input should be less"),
        ("name: chat", "name: ops", ":16:5: the name ops is given twice"),
        ("name: chat", "name: chat\n    colour: red", ":17:5: channels.2.colour: Extra inputs"),
        ("channels:", "canals:", "channels: Field required"),
        ("name: chat", "name: [", ":18:8: expected"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(place: Path, before: str, after: str, said: str) -> None:
    assert before in GOOD
    place.write_text(GOOD.replace(before, after))
    with pytest.raises(ChannelsInvalid) as refused:
        load_channels(place)
    text = str(refused.value)
    assert said in text
    assert text.startswith(f"{place}:")
    assert "hunter2" not in text and "verysecret" not in text


def test_mail_in_the_clear_goes_to_this_machine_only(place: Path) -> None:
    plain = GOOD.replace("host: mail.example.org", "host: localhost\n    security: none")
    place.write_text(plain)
    assert load_channels(place)[0].name == "ops"


def test_a_program_with_a_document_that_cannot_be_used_does_not_start(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_text(GOOD.replace("kind: slack", "kind: fax"))
    monkeypatch.setenv("AETHER_NOTICES", str(place))
    with pytest.raises(ValidationError, match=r"notices\.yaml:16:5: channels\.2"):
        NoticeSettings()
    place.write_text(GOOD)
    monkeypatch.setenv("AETHER_CONSOLE_URL", "https://aether.example.org/")
    assert NoticeSettings().console_url == "https://aether.example.org"
    monkeypatch.setenv("AETHER_CONSOLE_URL", "aether.example.org")
    with pytest.raises(ValidationError, match="is no web address"):
        NoticeSettings()


def test_check_reads_every_secret_and_names_what_is_missing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    assert run(["check"], say=lines.append) == EXIT_SETTINGS
    assert "AETHER_NOTICES" in lines.pop()
    monkeypatch.setenv("AETHER_NOTICES", str(place))
    assert run(["check"], say=lines.append) == EXIT_SETTINGS
    assert "cannot be read: No such file" in lines.pop()
    place.write_text(GOOD.replace("file:/run/secrets/pager", f"file:{place}"))
    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    assert run(["check"], say=lines.append) == EXIT_SETTINGS
    assert "ops (email): is well written" in lines[0] and "env:SLACK_URL" in lines[2]
    monkeypatch.setenv("SLACK_URL", "https://hooks.slack.example/T0")
    assert run(["check"], say=lines.append) == 0
    assert "hunter2" not in "".join(lines)


@pytest.mark.parametrize("words", [[], ["try"], ["send", "ops"], ["try", "ops", "now"]])
def test_another_command_is_answered_with_the_usage(words: list[str]) -> None:
    lines: list[str] = []
    assert run(words, say=lines.append) == EXIT_USAGE
    assert lines[0].startswith("usage:")


def test_a_channel_that_does_not_exist_is_answered_with_those_that_do(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_text(GOOD)
    monkeypatch.setenv("AETHER_NOTICES", str(place))
    lines: list[str] = []
    assert run(["try", "opps"], say=lines.append) == EXIT_USAGE
    assert lines == [f"{place}: has no channel 'opps'; there are: ops, pager, chat"]
