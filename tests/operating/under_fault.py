"""The figures that a house without a fault does not have, and why: `test_queries_under_fault` brings every one."""

from __future__ import annotations

from typing import Final

ONLY_UNDER_FAULT: Final = {
    "aether_alarms_total": "nothing was forged",
    "aether_bus_dead_letters_total": "every message could be worked off",
    "aether_bus_permission_refusals_total": "no program tried what it may not",
    "aether_connection_quarantined": "no credential was refused",
    "aether_credential_expiry_timestamp_seconds": "the tokens of the demonstration do not say when they end",
    "aether_notices_total": "no channel is configured",
    "aether_rate_limit_wait_seconds": "no connection of the demonstration has a rate",
}
