"""What may be applied in production: only a release that a steward promoted by its digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.extractor.admission import admit
from services.extractor.promoting import promote
from shared.contract.connector import Connector
from shared.contract.loading import load_connector
from shared.errors import NeedsPerson
from shared.events.commands import PromoteConnector
from shared.events.operating import ConnectorPromoted
from shared.run.moves import Decision
from shared.run.promoted import PROMOTIONS_KEPT_MAX, ConnectorPromotions
from tests.unit.extractor.test_admission import asked

RELEASE = load_connector(Path(__file__).parents[3] / "connectors" / "titanhst-staff")
AT = "2026-11-22T08:00:00.000Z"


def promoted(
    *,
    release: Connector = RELEASE,
    digest: str | None = None,
    reason: str = "tried for two weeks",
    environment: str = "production",
    present: ConnectorPromotions | None = None,
    actor: str | None = "stella",
    at: str = AT,
) -> Decision:
    command = PromoteConnector(
        connector=release.definition.name,
        version=release.definition.version,
        digest=release.digest if digest is None else digest,
        reason=reason,
        tried_in="20261101T080000-abcdef",
    )
    return promote(command, release=release, environment=environment, present=present, actor=actor, at=at)


def document_of(decision: Decision) -> ConnectorPromotions:
    (found,) = [one.event for one in decision.messages if isinstance(one.event, ConnectorPromotions)]
    return found


def test_a_promotion_names_release_person_reason_and_trial() -> None:
    decision = promoted()
    (promotion,) = document_of(decision).promotions
    assert (promotion.version, promotion.digest, promotion.by) == ("1.0.0", RELEASE.digest, "stella")
    assert (promotion.reason, promotion.tried_in, promotion.at) == (
        "tried for two weeks",
        "20261101T080000-abcdef",
        AT,
    )
    (fact,) = [one.event for one in decision.messages if isinstance(one.event, ConnectorPromoted)]
    assert fact.promotion == promotion


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"environment": "staging"}, "APV_MALFORMED", "this house is of staging"),
        ({"actor": None}, "APV_MALFORMED", "did not say who"),
        ({"reason": "  "}, "APV_MALFORMED", "say why"),
        ({"reason": "x" * 501}, "APV_MALFORMED", "1 to 500 characters"),
        ({"digest": "sha256:0000"}, "APV_MALFORMED", "not sha256:0000"),
        ({"release": replace(RELEASE, is_published=False)}, "CTR_NOT_PUBLISHED", "is not published"),
        (
            {"release": replace(RELEASE, definition=RELEASE.definition.model_copy(update={"lifecycle": "retired"}))},
            "CTR_DRAFT",
            "is retired",
        ),
        ({"present": document_of(promoted())}, "APV_MALFORMED", "promoted already"),
    ],
)
def test_what_was_not_tried_published_or_explained_is_not_promoted(
    change: dict[str, object], code: str, says: str
) -> None:
    with pytest.raises(NeedsPerson, match=says) as refused:
        promoted(**change)  # type: ignore[arg-type]  # each case changes one of the arguments
    assert refused.value.code == code


def test_the_document_keeps_the_latest_promotions() -> None:
    document: ConnectorPromotions | None = None
    for number in range(PROMOTIONS_KEPT_MAX + 3):
        release = replace(RELEASE, digest=f"sha256:{number:064d}")
        document = document_of(promoted(release=release, present=document))
    assert document is not None
    assert len(document.promotions) == PROMOTIONS_KEPT_MAX
    assert document.has(f"sha256:{PROMOTIONS_KEPT_MAX + 2:064d}")
    assert not document.has(f"sha256:{2:064d}")


def test_a_release_that_was_not_promoted_is_not_applied_but_may_be_run_dry() -> None:
    with pytest.raises(NeedsPerson, match="was not promoted to production") as refused:
        admit(replace(asked(), is_promoted=False), present=None)
    assert refused.value.code == "CTR_NOT_PROMOTED"
    assert admit(replace(asked("dry-run"), is_promoted=False), present=None).messages
