"""The catalogue of failures: every code the house may report, what it means and who acts on it.

A code outside the catalogue cannot be raised. Text is for the operator; no entry names a person or a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error", "critical"]
Owner = Literal["data steward", "district admin", "vendor", "platform"]
Category = Literal[
    "transient",
    "rate_limited",
    "unknown_outcome",
    "auth",
    "conflict",
    "not_found",
    "validation",
    "capacity",
    "config",
    "contract",
    "internal",
    "refusal",
    "completeness",
]


@dataclass(frozen=True)
class Failure:
    """One entry of the catalogue."""

    code: str
    """`PHASE_NAME`; the phase is SRC, CTR, NRM, MAT, DIF, GRD, APV, APL, VER, AUD, SCH or SYS."""
    severity: Severity
    category: Category
    is_retryable: bool
    owner: Owner
    text: str
    action: str


class UnknownFailureCode(KeyError):
    """A code that the catalogue does not hold; a defect of ours."""


def _entry(
    code: str, severity: Severity, category: Category, owner: Owner, text: str, action: str, *, retry: bool = False
) -> Failure:
    return Failure(
        code=code, severity=severity, category=category, is_retryable=retry, owner=owner, text=text, action=action
    )


_ENTRIES = (
    # Reading a system
    _entry("SRC_UNREACHABLE", "error", "transient", "district admin", "The system does not answer.",
           "Check the address, the network and whether the system is up; then run again.", retry=True),
    _entry("SRC_AUTH", "error", "auth", "district admin", "The system refused our credential.",
           "Renew the credential of the connection; then run again."),
    _entry("SRC_RATE_LIMITED", "warning", "rate_limited", "vendor", "The system asks us to slow down.",
           "Nothing to do unless it goes on for hours; then lower the rate of the connection.", retry=True),
    _entry("SRC_INCOMPLETE", "error", "completeness", "district admin", "The read was not complete.",
           "Look at what the certificate misses. No removals are planned until a complete read succeeds."),
    _entry("SRC_UNSTABLE", "error", "completeness", "district admin",
           "The records moved while they were read page by page, each time it was tried.",
           "Run again when fewer people work in the system; no removals rest on such a read.", retry=True),
    _entry("SRC_WRONG_SHAPE", "error", "contract", "vendor", "The system answered in another shape than agreed.",
           "Compare the answer with the system's description; a login page often means a wrong address."),
    _entry("SRC_CONFIG", "error", "config", "district admin", "The connection is not set up right.",
           "Correct the connection's settings as the message says."),
    # Contract
    _entry("CTR_INVALID", "error", "config", "data steward", "The connector definition is not valid.",
           "Correct the definition at the file, line and column named."),
    _entry("CTR_UNKNOWN", "error", "config", "data steward", "There is no connector of that name.",
           "Use one of the names that `aether connector list` prints."),
    _entry("CTR_DRAFT", "error", "refusal", "data steward", "A draft or retired connector cannot be applied.",
           "Ask for a dry-run, or activate a release of the connector."),
    # Normalising, one record at a time
    _entry("CTR_ALTERED", "critical", "refusal", "data steward", "A released version of the connector was altered.",
           "Undo the edit, or give the definition a new version and publish it."),
    _entry("CTR_NOT_PROMOTED", "error", "refusal", "data steward",
           "The release was not promoted to production.",
           "Try it in staging; then `aether connector promote` it, with a reason."),
    _entry("CTR_NOT_PUBLISHED", "error", "refusal", "data steward", "This version of the connector is not published.",
           "Publish it with `aether connector publish`, or ask for a dry-run."),
    _entry("CTR_TRANSFORM", "error", "config", "data steward", "A registered transform cannot be used.",
           "Correct the transform's file as the message says."),

    _entry("NRM_MISSING_KEY", "warning", "validation", "data steward", "A source row has no key.",
           "Give the record its id in the system of record."),
    _entry("NRM_MISSING_REQUIRED", "warning", "validation", "data steward", "A required field is empty.",
           "Fill the field in the system of record."),
    _entry("NRM_BAD_FORMAT", "warning", "validation", "data steward", "A value has not the form the contract asks for.",
           "Correct the value in the system of record."),
    _entry("NRM_UNMAPPED", "warning", "validation", "data steward", "An id is not in the mapping table.",
           "Add the id to the table and release the connector, or correct it in the system of record."),
    _entry("NRM_BLOCKED_UNMAPPED", "error", "config", "data steward", "An id that must be mapped is not in the table.",
           "Add the id to the mapping table and release the connector."),
    _entry("NRM_SCHEMA_DRIFT", "error", "contract", "data steward", "The source has no longer the agreed shape.",
           "Compare the columns named with the source; correct the source or release a new contract."),
    # Matching
    _entry("NRM_LOOKUP", "warning", "validation", "data steward", "A value was not found in the target's entity.",
           "Create the record that it names in the target, or correct the value in the system of record."),
    _entry("NRM_TRANSFORM", "warning", "validation", "data steward", "A registered transform failed on a value.",
           "Correct the value in the system of record, or the transform."),
    _entry("NRM_UNKNOWN_VALUE", "warning", "validation", "data steward", "A value is none of those the contract lists.",
           "Add the value to the contract and release it, or correct it in the system of record."),
    _entry("NRM_TYPE_CHANGED", "warning", "contract", "data steward", "A source column has another type than agreed.",
           "Compare the column with the source's description; correct the source or release a new contract."),

    _entry("MAT_DUPLICATE_KEY", "warning", "validation", "data steward", "Several records claim one key.",
           "Decide in the system of record which is right."),
    _entry("MAT_AMBIGUOUS", "warning", "validation", "data steward", "A record matches several target records.",
           "Join or mark the target records, so that one remains."),
    # Diff and plan
    _entry("MAT_REUSED_ID", "warning", "validation", "data steward", "An id names another record than before.",
           "Find out which record is whose; then correct the key in the source or in the target."),

    _entry("DIF_SNAPSHOT_GONE", "error", "internal", "platform", "Stored batches of the run are missing or altered.",
           "Run again. If it happens twice, look at the store of the bus."),
    # Guard
    _entry("DIF_MEMORY_AWAY", "error", "transient", "platform", "The differ's database does not answer.",
           "Bring the database back; the run goes on by itself.", retry=True),
    _entry("DIF_PROTECTED", "info", "refusal", "data steward", "The record is protected; the change is left out.",
           "Nothing to do. Take the record off the protected list if it should follow the source."),
    _entry("DIF_FIELD_PROTECTED", "info", "refusal", "data steward", "The field is protected; its change is left out.",
           "Nothing to do. Correct the value in the target by hand if it should follow the source."),
    _entry("DIF_FIRST_MISS", "info", "completeness", "data steward", "The record is missing, but not long enough yet.",
           "Nothing to do. It is removed once enough certified reads have missed it, and kept if it comes back."),
    _entry("DIF_ONBOARDING", "info", "refusal", "data steward", "Nothing is removed in the first two certified runs.",
           "Nothing to do. Removals come with the third certified run."),
    _entry("DIF_NOT_CERTIFIED", "warning", "completeness", "district admin", "The removal rests on no certified read.",
           "Make the read of every source succeed; removals come with the next complete run."),
    _entry("DIF_HELD", "info", "refusal", "data steward", "The record is held from changes until its source changes.",
           "Nothing to do. The record follows the source again when its source record changes."),

    _entry("GRD_SOURCE_ZERO", "critical", "refusal", "district admin", "The source returned nothing.",
           "Find out why the source is empty. Nothing is changed."),
    _entry("GRD_SOURCE_FELL", "error", "refusal", "district admin", "The source has far fewer records than last time.",
           "Confirm with the owner of the source, then approve with override or reject."),
    _entry("GRD_SOURCE_GREW", "warning", "refusal", "district admin", "The source has far more records than last time.",
           "Confirm with the owner of the source, then approve with override or reject."),
    _entry("GRD_TARGET_UNKNOWN", "critical", "completeness", "district admin",
           "The target's present state is not known.",
           "Make the read of the target succeed. Nothing is changed until then."),
    _entry("GRD_NO_CERTIFICATE", "warning", "completeness", "district admin",
           "A source could not be read completely; removals are left out.",
           "Make the read of the source succeed; removals come with the next complete run."),
    _entry("GRD_LIMIT", "error", "refusal", "district admin", "The plan holds more changes than the limit allows.",
           "Review the plan; approve with override, or reject and correct the source."),
    _entry("GRD_QUARANTINE", "warning", "refusal", "data steward", "Too many records are in quarantine.",
           "Look at the reasons with `aether show`; correct the source or the mapping tables."),
    _entry("GRD_ONBOARDING", "critical", "refusal", "district admin",
           "Removals are planned before two certified runs.",
           "Nothing is removed in the first two certified runs. Run again; report it if it happens twice."),
    _entry("GRD_DECLARED", "warning", "refusal", "district admin",
           "A declared delta came out larger or smaller than declared.",
           "Compare the declaration with the plan; approve with override, or correct the declaration or the source."),
    _entry("GRD_POLICY", "error", "config", "district admin", "The policy of the guard cannot be used.",
           "Correct the policy at the place the message names."),
    _entry("GRD_FAILED", "critical", "internal", "platform", "The guard itself failed; the plan is blocked.",
           "Report it. Nothing is changed."),
    # Requests and approval
    _entry("APV_MALFORMED", "error", "refusal", "district admin", "The command cannot be read.",
           "Send the fields the message names."),
    _entry("APV_UNKNOWN_RUN", "error", "refusal", "district admin", "There is no such run.",
           "Use a run id that `aether runs` prints."),
    _entry("APV_OVERLAP", "warning", "refusal", "district admin", "Another run of the connector is under way.",
           "Wait for it or cancel it."),
    _entry("APV_WRONG_STATE", "error", "refusal", "district admin", "The run is not in a state that allows this.",
           "Look at the run with `aether show`."),
    _entry("APV_WRONG_DIGEST", "critical", "refusal", "district admin", "The digest is not that of the run's plan.",
           "Review the plan again and approve the digest it shows."),
    _entry("APV_OWN_REQUEST", "critical", "refusal", "district admin", "The requester cannot approve the own run.",
           "Ask another approver."),
    _entry("APV_NOT_AUTHORISED", "critical", "refusal", "district admin", "This identity may not do that.",
           "Ask a person with the role, or have the role given."),
    _entry("APV_UNATTRIBUTED", "error", "refusal", "district admin", "The command carries no identity.",
           "Connect with the credentials of a person."),
    _entry("APV_BAD_SIGNATURE", "critical", "refusal", "platform", "The approval's signature does not hold.",
           "Nothing is written. Find out who altered the approval."),
    _entry("APV_EXPIRED", "warning", "refusal", "district admin", "The plan or its approval has expired.",
           "Run again and approve the new plan."),
    _entry("APV_WAITING", "info", "refusal", "district admin", "A plan waits for a person, and there is time.",
           "Review the plan and decide.", retry=True),
    _entry("APV_SUPERSEDED", "info", "refusal", "district admin", "A newer run of the connector has taken its place.",
           "Review the newer run."),
    _entry("APV_TWICE", "warning", "refusal", "district admin", "This identity has approved the plan already.",
           "A second approver must be another person."),
    _entry("APV_TOO_FEW", "critical", "refusal", "platform", "The plan has fewer approvals than its risk asks for.",
           "Nothing is written. Have it approved by as many people as the plan asks for."),
    # Applying
    _entry("APL_PLAN_ALTERED", "critical", "refusal", "platform", "The stored plan is not the approved plan.",
           "Nothing is written. Find out who altered it; run again."),
    _entry("APL_VERDICT_DIFFERS", "critical", "refusal", "platform", "The guard's verdict is not the approved one.",
           "Nothing is written. Run again; if it happens twice, report it."),
    _entry("APL_STALE", "warning", "refusal", "district admin", "The plan is too old or the target has moved on.",
           "Run again."),
    _entry("APL_TARGET_BUSY", "warning", "transient", "district admin", "Another apply holds the target.",
           "It goes on by itself when the other ends.", retry=True),
    _entry("APL_LEASE_LOST", "error", "transient", "platform", "The applier lost its lease on the target.",
           "Another applier goes on by itself.", retry=True),
    _entry("APL_UNREACHABLE", "error", "transient", "vendor", "The target does not answer.",
           "Check the target; then resume the run.", retry=True),
    _entry("APL_RATE_LIMITED", "warning", "rate_limited", "vendor", "The target asks us to slow down.",
           "Nothing to do; the run goes on by itself.", retry=True),
    _entry("APL_UNKNOWN_OUTCOME", "error", "unknown_outcome", "vendor",
           "A write was sent and no answer came; it is looked at before anything else.",
           "If the run stays paused, check the target and resume.", retry=True),
    _entry("APL_AUTH", "critical", "auth", "district admin", "The target refused our credential.",
           "Renew the credential of the connection; then resume the run."),
    _entry("APL_CONFLICT", "warning", "conflict", "data steward", "The target record is not what the plan saw.",
           "It is planned anew in the next run."),
    _entry("APL_REFUSED_RECORD", "warning", "validation", "data steward", "The target refused one record.",
           "Correct the record as the target's message says."),
    _entry("APL_WRONG_SHAPE", "error", "contract", "vendor", "The target answered in another shape than agreed.",
           "The run is paused. Compare the answer with the target's description; then resume."),
    _entry("APL_CONFIG", "error", "config", "district admin", "The target connection is not set up right.",
           "Correct the connection's settings; then resume the run."),
    _entry("APL_CAPACITY", "error", "capacity", "vendor", "The target has no room for more records of this kind.",
           "Buy or free licences, seats or quota at the vendor; then resume the run."),
    _entry("APL_DEPENDENCY", "warning", "refusal", "data steward",
           "A change that this one builds on did not take effect.",
           "Look at the other change first; then retry the run, or let the next run plan it anew."),
    _entry("APL_SYSTEMIC", "error", "transient", "vendor",
           "One request after the other failed, so the target is not asked any more.",
           "Check the target; then resume the run.", retry=True),
    _entry("APL_QUARANTINED", "error", "auth", "district admin",
           "The connection is in quarantine since its credential was refused.",
           "Renew the credential of the connection; the quarantine ends by itself once it is accepted."),
    _entry("APL_INTERNAL", "critical", "internal", "platform", "A defect of ours stopped a change.",
           "Report it with the run id."),
    # Verifying
    _entry("VER_NOT_KEPT", "error", "contract", "vendor", "The target accepted a write and did not keep it.",
           "Ask the vendor; the record is planned anew in the next run."),
    # Audit
    _entry("AUD_UNAVAILABLE", "critical", "transient", "platform", "The audit log cannot be written.",
           "Nothing is applied until it can. Look at the bus and the auditor.", retry=True),
    # Schedules
    _entry("SCH_BLACKOUT", "info", "refusal", "district admin", "The time lies in a blackout window.",
           "Nothing is to be done; the next time is taken. Ask for a run by hand if it must be now."),
    _entry("SCH_CALENDAR", "info", "refusal", "district admin", "The school calendar has no run on this day.",
           "Nothing is to be done; the next time is taken. Correct the calendar if the day is wrong."),
    _entry("SCH_OVERLAP", "warning", "refusal", "district admin", "The run before is still under way.",
           "Nothing is to be done for once; if it is so every time, schedule less often."),
    _entry("SCH_PAUSED", "warning", "refusal", "district admin", "The schedule is paused.",
           "See why with `aether schedule list`; then `aether schedule resume`."),
    _entry("SCH_REFUSED", "error", "refusal", "district admin", "The run that was due was refused.",
           "Do what the refusal says; the next time is taken."),
    _entry("SCH_MISSED", "warning", "refusal", "platform", "Times passed while nobody listened; the latest was taken.",
           "Look why the house was down."),
    _entry("SCH_UNKNOWN", "error", "config", "data steward", "The connector has no schedule.",
           "Write `schedule:` into its definition and publish a release."),
    _entry("SCH_CONFIG", "error", "config", "district admin", "The calendar of the house cannot be used.",
           "Correct what the text names. Until then nothing runs by schedule."),
    # The house
    _entry("SYS_ENVIRONMENT", "critical", "config", "district admin",
           "Something of production was to be used in a house that is not of production.",
           "Name a connection of this environment, or ask for the run in the house of the other."),
    _entry("SYS_UNDECODABLE", "error", "contract", "platform", "A message on the bus cannot be read.",
           "It lies in the dead letters with its reason."),
    _entry("SYS_ILLEGAL_TRANSITION", "critical", "internal", "platform", "A run was asked to go where it cannot.",
           "The transition was refused. Report it with the run id."),
    _entry("SYS_HANDLER_FAILED", "critical", "internal", "platform", "A defect of ours stopped a step of the run.",
           "The message lies in the dead letters with its reason. Report it with the run id."),
    _entry("SYS_SPILL", "error", "config", "district admin", "The extractor has no room on its disk.",
           "Give it a folder with more room (AETHER_SPILL_FOLDER); then run again."),
    _entry("SYS_SECRET", "error", "config", "district admin", "A secret cannot be read.",
           "Check the reference in the connection and the place it points to."),
    _entry("SYS_PAUSED", "info", "refusal", "district admin", "A person paused the run.",
           "Resume it with `aether resume` when wanted, or cancel it."),
    _entry("SYS_CANCELLED", "info", "refusal", "district admin", "The run was cancelled.",
           "Run again when wanted."),
)  # fmt: skip

CATALOGUE: dict[str, Failure] = {entry.code: entry for entry in _ENTRIES}


def failure_of(code: str) -> Failure:
    """The catalogue's entry; `UnknownFailureCode` for a code it does not hold."""
    try:
        return CATALOGUE[code]
    except KeyError:
        raise UnknownFailureCode(f"{code} is not in the catalogue of failures; add it to shared/failures.py") from None
