"""Whether a release may be promoted to production: a decision over documents.

Pure. Only a published, active release is promoted, named by its digest, by a steward who says why; promoting it again
is refused, so that the log has each promotion once.
"""

from __future__ import annotations

from typing import NoReturn

from shared.contract.connector import Connector
from shared.errors import NeedsPerson
from shared.events.commands import PromoteConnector
from shared.events.operating import ConnectorPromoted
from shared.run.moves import Decision, Message
from shared.run.promoted import PROMOTIONS_KEPT_MAX, ConnectorPromotions, Promotion, promoted_subject

REASON_CHARACTERS_MAX = 500


def promote(
    command: PromoteConnector,
    *,
    release: Connector,
    environment: str,
    present: ConnectorPromotions | None,
    actor: str | None,
    at: str,
) -> Decision:
    """The messages that promote a release; `NeedsPerson` with the reason when it is refused."""
    definition = release.definition
    if environment != "production":
        _refuse(f"this house is of {environment}; promote in the house of production", definition.name)
    if actor is None:
        _refuse("the bus did not say who promotes", definition.name)
    if not command.reason.strip() or len(command.reason) > REASON_CHARACTERS_MAX:
        _refuse(f"say why, in 1 to {REASON_CHARACTERS_MAX} characters", definition.name)
    if not release.is_published:
        raise NeedsPerson(
            "CTR_NOT_PUBLISHED",
            f"connector {definition.name} {definition.version} is not published; `aether connector publish` it first",
        )
    if definition.lifecycle != "active":
        raise NeedsPerson(
            "CTR_DRAFT", f"connector {definition.name} {definition.version} is {definition.lifecycle}, not active"
        )
    if release.digest != command.digest:
        _refuse(
            f"version {definition.version} in this house has the digest {release.digest}, not {command.digest[:80]}: "
            "it is not what was tried; bring the folder of connectors to the same state",
            definition.name,
        )
    document = present or ConnectorPromotions(connector=definition.name, promotions=())
    if document.has(release.digest):
        _refuse(f"version {definition.version} is promoted already", definition.name)
    made = Promotion(
        version=definition.version,
        digest=release.digest,
        by=actor,
        at=at,
        reason=command.reason,
        tried_in=command.tried_in,
    )
    kept = (*document.promotions, made)[-PROMOTIONS_KEPT_MAX:]
    number = release.digest.rpartition(":")[2][:16]
    return Decision(
        (
            Message(
                subject=promoted_subject(definition.name),
                event=document.model_copy(update={"promotions": kept}),
                message_id=f"{definition.name}.promoted.{number}.{at}",
                about=definition.name,
            ),
            Message(
                subject=f"evt.extractor.connector_promoted.{definition.name}",
                event=ConnectorPromoted(connector=definition.name, promotion=made),
                message_id=f"{definition.name}.promotion.{number}.{at}",
                about=definition.name,
            ),
        )
    )


def _refuse(text: str, connector: str) -> NoReturn:
    raise NeedsPerson("APV_MALFORMED", f"connector {connector}: {text}", connector=connector)
