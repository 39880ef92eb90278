"""Alerts on records: quarantine that grows or grows old, and changes of which nobody knows whether they took effect."""

from __future__ import annotations

from typing import Final

from deploy.prometheus.alerting.model import Alert, Case, Expected

_MINE: Final = '{connector="staff"}'
_RECORDS: Final = "max without (instance) (aether_quarantine_records)"
_RECORDS_BEFORE: Final = "max without (instance) (aether_quarantine_records offset 1d)"
_CONTACTS: Final = 'aether_quarantine_records{connector="staff",entity="contacts"'

RECORDS: Final[tuple[Alert, ...]] = (
    Alert(
        name="QuarantineGrows",
        severity="warning",
        expr=f"sum by (connector, entity) ({_RECORDS}) - (sum by (connector, entity) ({_RECORDS_BEFORE})"
        f" or 0 * sum by (connector, entity) ({_RECORDS})) > 20",
        holds="15m",
        summary="More and more {{ $labels.entity }} of {{ $labels.connector }} are in quarantine.",
        description="{{ $value }} more {{ $labels.entity }} of {{ $labels.connector }} are in quarantine than"
        " a day ago; up"
        " to 20 more are usual.",
        cases=(
            Case(
                what="thirty more, by two codes",
                series={
                    f'{_CONTACTS},code="NRM_UNMAPPED"}}': "5x1440 20x60",
                    f'{_CONTACTS},code="NRM_MISSING_KEY"}}': "_x1440 15x60",
                },
                at="1480m",
                fires=(
                    Expected(
                        labels={"connector": "staff", "entity": "contacts"},
                        summary="More and more contacts of staff are in quarantine.",
                        description="30 more contacts of staff are in quarantine than a day ago; up to 20 more are"
                        " usual.",
                    ),
                ),
            ),
            Case(
                what="fifty, as yesterday",
                series={f'{_CONTACTS},code="NRM_UNMAPPED"}}': "50x1500"},
                at="1480m",
            ),
        ),
    ),
    Alert(
        name="QuarantineOld",
        severity="warning",
        expr="time() - min by (connector, entity) (aether_quarantine_since_timestamp_seconds) > 1209600",
        holds="1h",
        summary="{{ $labels.entity }} of {{ $labels.connector }} have been in quarantine for two weeks.",
        description="No read of the {{ $labels.entity }} of {{ $labels.connector }} was without quarantine for"
        " {{ $value | humanizeDuration }}; nobody has looked for 14 days, it seems.",
        cases=(
            Case(
                what="for sixteen days",
                series={
                    'aether_quarantine_since_timestamp_seconds{connector="staff",entity="contacts"}': "-1375200x200"
                },
                at="120m",
                fires=(
                    Expected(
                        labels={"connector": "staff", "entity": "contacts"},
                        summary="contacts of staff have been in quarantine for two weeks.",
                        description="No read of the contacts of staff was without quarantine for 16d 0h 0m"
                        " 0s; nobody"
                        " has looked for 14 days, it seems.",
                    ),
                ),
            ),
            Case(
                what="for a day",
                series={'aether_quarantine_since_timestamp_seconds{connector="staff",entity="contacts"}': "-86400x200"},
                at="120m",
            ),
        ),
    ),
    Alert(
        name="UnknownEffects",
        severity="critical",
        # Changes on their way count too: while an applier works on a run, RunStuck watches it.
        expr="sum by (connector) (max without (instance) (aether_unknown_effects)) > 0 unless on (connector)"
        ' (sum by (connector) (aether_runs_open{status=~"applying|throttled|verifying"}) > 0'
        ' and on () max(up{job="aether",service="applier"}) == 1)',
        holds="30m",
        summary="{{ $labels.connector }} does not know what it did.",
        description="{{ $value }} changes of {{ $labels.connector }} were sent and have had no known effect"
        " for 30 minutes;"
        " 0 may stay so.",
        cases=(
            Case(
                what="three for an hour",
                series={f"aether_unknown_effects{_MINE}": "3x100"},
                at="60m",
                fires=(
                    Expected(
                        labels={"connector": "staff"},
                        summary="staff does not know what it did.",
                        description="3 changes of staff were sent and have had no known effect for 30"
                        " minutes; 0 may"
                        " stay so.",
                    ),
                ),
            ),
            Case(
                what="a long apply, its applier at work",
                series={
                    f"aether_unknown_effects{_MINE}": "3x100",
                    'aether_runs_open{connector="staff",status="applying"}': "1x100",
                    'up{job="aether",service="applier"}': "1x100",
                },
                at="60m",
            ),
            Case(what="a run under way", series={f"aether_unknown_effects{_MINE}": "0x20 3x20 0x100"}, at="60m"),
        ),
    ),
)
