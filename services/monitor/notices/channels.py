"""The channels on which people are told: what the district's administrator wrote into one YAML document.

A channel names what it wants to hear of and where it leads. Secrets are references; the address of a Slack channel is
a secret too. Addresses of hosts are the administrator's choice, and each error names file, line and column.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from services.monitor.notices.conditions import KINDS
from services.monitor.notices.deciding import Interest
from shared.events.operating import ConditionKind
from shared.ports.yaml_document import Problem, YamlInvalid, position_of, read_yaml
from shared.secrets.references import SecretReference

CHANNELS_MAX: Final = 50
RECIPIENTS_MAX: Final = 50
A_MINUTE_DEFAULT: Final = 20
A_MINUTE_MAX: Final = 120
_MAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,45}")
_OWN: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ChannelsInvalid(ValueError):
    """The document cannot be used; `problems` names every place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


def _mail_address(text: str) -> str:
    # What passes holds no line end, comma or bracket, so that no address can become a header or a second address.
    if len(text) > 254 or _MAIL.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is no mail address; write name@example.org, of ASCII letters, without a name")
    return text


def _host(text: str) -> str:
    if _HOST.fullmatch(text) is None:
        raise ValueError(f"{text[:80]!r} is no name of a host; leave out scheme, port and path")
    return text


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        port_is_right = False
    if not port_is_right or parts.scheme not in ("https", "http") or not parts.hostname or not text.isprintable():
        raise ValueError("is no web address; write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or a password; leave them out, a webhook is believed by its signature")
    return text


MailAddress = Annotated[str, AfterValidator(_mail_address)]
Host = Annotated[str, AfterValidator(_host)]
WebAddress = Annotated[str, Field(max_length=2_000), AfterValidator(_web_address)]
ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]
ConnectorName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=63)]


_ALL: Final = BeforeValidator(lambda value: None if value == "all" else value)


def is_own_host(host: str) -> bool:
    """Whether a host is this machine itself."""
    return host.lower() in _OWN


class _Channel(BaseModel):
    """What every channel says."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: ChannelName
    """By which the log, the figures and `try` name it. Under a new name everything present is told anew."""
    conditions: Annotated[tuple[ConditionKind, ...] | None, _ALL] = None
    """Which conditions are told here; None: `all`."""
    connectors: Annotated[tuple[ConnectorName, ...] | None, _ALL] = None
    """Of which connectors; with a list, what concerns no connector is told elsewhere. None: `all`."""
    notices_a_minute: int = Field(default=A_MINUTE_DEFAULT, ge=1, le=A_MINUTE_MAX)
    """Messages at most; the last of a minute sums up what is left."""
    ca: Path | None = None
    """PEM file of the authorities that the other side is believed by; None: those that this machine knows."""

    @property
    def interest(self) -> Interest:
        """What is told here."""
        kinds = KINDS if self.conditions is None else self.conditions
        return Interest(self.name, frozenset(kinds), None if self.connectors is None else frozenset(self.connectors))

    @model_validator(mode="after")
    def _says_something(self) -> _Channel:
        if self.conditions == () or self.connectors == ():
            raise ValueError("conditions and connectors name at least one each, or all")
        if self.ca is not None and not self.ca.is_absolute():
            raise ValueError("ca: is no absolute path; write /path/to/authorities.pem")
        return self


class EmailChannel(_Channel):
    """Mail over SMTP."""

    kind: Literal["email"]
    host: Host
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls` (port 587), `tls` from the first byte (port 465); `none` only to this machine itself."""
    allow_unencrypted: bool = False
    """Let `none` go to another machine, without a password."""
    user: str | None = Field(default=None, min_length=1, max_length=254)
    password: SecretReference | None = None
    """Reference to the password of `user`."""
    sender: MailAddress = Field(alias="from")
    to: tuple[MailAddress, ...] = Field(min_length=1, max_length=RECIPIENTS_MAX)

    @model_validator(mode="after")
    def _is_safe(self) -> EmailChannel:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together; give both or none")
        if self.security == "none" and not is_own_host(self.host):
            if not self.allow_unencrypted:
                raise ValueError(
                    "security: none sends in the clear to another machine; use starttls or tls, or say "
                    "allow_unencrypted: true"
                )
            if self.password is not None:
                raise ValueError("security: none would send the password in the clear; use starttls or tls")
        return self


class WebhookChannel(_Channel):
    """A signed JSON document to a program."""

    kind: Literal["webhook"]
    url: WebAddress
    secret: SecretReference
    """Reference to the key of the signatures: `whsec_` and base64, or a text, of at least 24 bytes."""
    allow_unencrypted: bool = False
    """Let the address begin with http:// although it leads to another machine."""

    @model_validator(mode="after")
    def _is_safe(self) -> WebhookChannel:
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not is_own_host(parts.hostname or "") and not self.allow_unencrypted:
            raise ValueError(
                "url: http:// goes in the clear to another machine; use https://, or say allow_unencrypted: true"
            )
        return self


class SlackChannel(_Channel):
    """An incoming webhook of Slack, or of what understands the same."""

    kind: Literal["slack"]
    url: SecretReference
    """Reference to the address of the incoming webhook: who knows it can write there."""


Channel = Annotated[EmailChannel | WebhookChannel | SlackChannel, Field(discriminator="kind")]


class Channels(BaseModel):
    """All channels of a house."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[Channel, ...] = Field(max_length=CHANNELS_MAX)


def load_channels(path: Path) -> tuple[EmailChannel | WebhookChannel | SlackChannel, ...]:
    """The channels of the document at `path`; `ChannelsInvalid` names file, line and column of every problem."""
    try:
        document = read_yaml(path)
    except YamlInvalid as invalid:
        raise ChannelsInvalid(list(invalid.problems)) from None
    try:
        channels = Channels.model_validate(_plain(document)).channels
    except ValidationError as invalid:
        problems = []
        for error in invalid.errors(include_input=False, include_url=False):
            # The kind of a channel stands in the place of an error, but not in the document.
            inside = [part for number, part in enumerate(error["loc"]) if not (number == 2 and part in _KINDS)]
            said = (
                f"{'.'.join(str(part) for part in inside) or 'document'}: {error['msg'].removeprefix('Value error, ')}"
            )
            problems.append(Problem(*position_of(document, inside, path=path), said))
        raise ChannelsInvalid(problems) from None
    seen: set[str] = set()
    for number, channel in enumerate(channels):
        if channel.name in seen:
            place = position_of(document, ("channels", number, "name"), path=path)
            raise ChannelsInvalid([Problem(*place, f"the name {channel.name} is given twice; give each its own")])
        seen.add(channel.name)
    return channels


_KINDS: Final = frozenset({"email", "webhook", "slack"})


def _plain(node: object) -> object:
    """Mappings and lists of the document as the models know them."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(_plain(value) for value in node)
    return node
