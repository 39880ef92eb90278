"""What an approver signs: the digest checked against what the auditor shows, then a record signed with the own key.

Pure but for what is passed in. The check here spares a person a refusal; what protects the target is the same check in
the differ and again in the applier.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

from shared.asking.problem import EXIT_USAGE, CommandFailed
from shared.clock import to_text
from shared.events.queries import PlanAnswer, SubsetAnswer
from shared.hashing.signing import KeyTextError, load_private_key, sign
from shared.ids import Ids
from shared.plan.subset import left_out_root
from shared.policy.approval import (
    ALL,
    SIGNATURE_DOMAIN,
    Approval,
    SignedApproval,
    expiry_of,
    payload_of,
    risk_of,
)
from shared.policy.guard import Level
from shared.run.state import PlanSummary

DIGEST_PREFIX = "sha256:"
PREFIX_DIGITS_MIN = 12
"""Hexadecimal digits of a shortened digest: 48 bits, too many to be met by chance."""
REASON_CHARACTERS_MAX = 500
NONCE_CHARACTERS = 26

Decision = Literal["approve", "reject"]


def full_digest(given: str, *, shown: str, run: str, options: str = "") -> str:
    """The plan's digest, when what was given is it or the beginning of it; `CommandFailed` otherwise.

    `options` is what a printed command needs.
    """
    digits = given.strip().lower().removeprefix(DIGEST_PREFIX)
    if re.fullmatch(r"[0-9a-f]{1,64}", digits) is None:
        raise CommandFailed(
            f"--digest {given}: is no digest", action="Copy it from `aether show`: sha256: and 64 hexadecimal digits."
        )
    if len(digits) < PREFIX_DIGITS_MIN:
        raise CommandFailed(
            f"--digest {given}: {len(digits)} hexadecimal digits, at least {PREFIX_DIGITS_MIN} are needed",
            action="Give more of the digest that `aether show` prints.",
        )
    if not shown.removeprefix(DIGEST_PREFIX).startswith(digits):
        raise CommandFailed(
            f"run {run} has plan {shown}; --digest names {given}",
            action=f"Review the plan again (aether plan {run}{options}) and give the digest it shows.",
            code="APV_WRONG_DIGEST",
        )
    return shown


def checked_part(answer: SubsetAnswer, *, shown: PlanAnswer, named: Collection[str]) -> SubsetAnswer:
    """The answer about a part of the plan shown, when it can be signed; `CommandFailed` otherwise.

    `named` are the ids, or how they begin, that were to be left out: who signs does not rely on the differ for these.
    What the plan set aside itself may be missing, for it is not carried out either way.
    """
    run = shown.run
    if answer.problem is not None or answer.subset_root is None:
        raise CommandFailed(
            answer.problem or f"run {run}: the differ says of no part what to sign",
            action="Name the changes by the digits that the plan shows, or approve or reject the whole plan.",
            code="APV_MALFORMED",
        )
    if shown.plan is None or answer.plan_digest != shown.plan.plan_digest:
        reviewed = None if shown.plan is None else shown.plan.plan_digest
        raise _untrue(f"run {run} was shown with plan {reviewed}, the differ speaks of {answer.plan_digest}")
    if (answer.subset_root == ALL) is bool(answer.left_out):
        raise _untrue(f"run {run}: the differ names {len(answer.left_out)} changes left out of {answer.subset_root}")
    if answer.approved + len(answer.left_out) != shown.plan.changes:
        raise _untrue(
            f"run {run}: {answer.approved} changes and {len(answer.left_out)} left out are not the plan's "
            f"{shown.plan.changes}"
        )
    ordered = sorted(answer.left_out)
    missing = [one for one in {*named} if not _is_among(one.strip().lower(), ordered)]
    if len(missing) > shown.excluded:
        raise _untrue(
            f"run {run}: {len(missing)} changes that were to be left out are not, the first is {min(missing)}"
        )
    return answer


def _is_among(beginning: str, ordered: Sequence[str]) -> bool:
    at = bisect_left(ordered, beginning)
    return at < len(ordered) and ordered[at].startswith(beginning)


def _untrue(text: str) -> CommandFailed:
    return CommandFailed(
        text, action="Report it; nothing was signed. The differ may not be what it should be.", code="APV_WRONG_DIGEST"
    )


def signed_decision(
    plan: PlanSummary,
    *,
    run: str,
    decision: Decision,
    approver: str,
    reason: str,
    is_override: bool,
    key_text: str,
    now: datetime,
    ids: Ids,
    options: str = "",
    subset: str = ALL,
    left_out: Collection[str] = (),
) -> SignedApproval:
    """The signed approval of this plan; `CommandFailed` for what would be refused anyway.

    `options` is what a printed command needs; `subset` is the root over a part of the plan, as the differ answers it,
    and `left_out` are all changes that this part leaves out.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_CHARACTERS_MAX:
        raise CommandFailed(
            f"--reason has {len(reason)} characters, allowed 1 to {REASON_CHARACTERS_MAX}",
            action="Say in a sentence why; the auditor's database keeps the text, the audit log its digest.",
        )
    level = Level(plan.verdict_level)
    if decision == "approve" and level is Level.HOLD and not is_override:
        raise CommandFailed(
            f"run {run} is held by the guard; approving it must say so",
            action=f"Read the guard's lines (aether show {run}{options}); then approve with --override, or reject.",
            code="APV_WRONG_STATE",
        )
    if is_override and level is not Level.HOLD:
        # Signed, it would say for ever that a hold was released where there was none.
        raise CommandFailed(
            f"--override: the plan of run {run} is not held, its verdict is {level.value}",
            action="Approve without --override.",
            exit_code=EXIT_USAGE,
        )
    approval = Approval(
        run=run,
        plan_digest=plan.plan_digest,
        verdict_digest=plan.verdict_digest,
        subset=subset,
        left_out_root=left_out_root(left_out),
        decision=decision,
        is_override=is_override,
        approver=approver,
        reason=reason,
        nonce=ids.token(NONCE_CHARACTERS),
        signed_at=to_text(now),
        expires_at=to_text(expiry_of(risk_of(plan.changes_by_class, level), now)),
    )
    try:
        private = load_private_key(key_text)
    except KeyTextError as problem:
        raise CommandFailed(
            f"the approval key of {approver} cannot be read: {problem}",
            action="Put the approver's Ed25519 key where the profile points.",
        ) from None
    signature = sign(private, domain=SIGNATURE_DOMAIN, payload=payload_of(approval))
    return SignedApproval(approval=approval, signature=signature)
