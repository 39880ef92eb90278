"""Alerts on audit and safety: the log, forgeries, acts that were refused, credentials, certificates, notices."""

from __future__ import annotations

from typing import Final

from deploy.prometheus.alerting.model import Alert, Case, Expected, Group
from deploy.prometheus.rising import rise

_LAG: Final = 'aether_audit_lag{stream="CORE"}'
_ENTRIES: Final = "aether_audit_entries_total"
_CHECKPOINTS: Final = "aether_audit_checkpoints_total"
_ALARM: Final = 'aether_alarms_total{service="applier",code="APL_PLAN_ALTERED"}'
_REFUSED: Final = 'aether_bus_permission_refusals_total{service="differ",act="publish"}'
_CERTIFICATE: Final = 'aether_certificate_expiry_timestamp_seconds{name="bus"}'
_CREDENTIAL: Final = 'aether_credential_expiry_timestamp_seconds{connection="google",setting="key"}'
_OLD: Final = 'aether_credential_changed_timestamp_seconds{connection="hr",setting="password"}'
_GIVEN_UP: Final = 'aether_notices_total{channel="mail",outcome="given_up"}'
_SENT: Final = 'aether_notices_total{channel="mail",outcome="sent"}'
_FAILED: Final = 'aether_notices_total{channel="mail",outcome="failed"}'
_WAS_GIVEN_UP: Final = 'outcome="given_up"'
_CERTIFICATE_LEFT: Final = "min by (name) (aether_certificate_expiry_timestamp_seconds) - time()"
_CREDENTIAL_LEFT: Final = "min by (connection, setting) (aether_credential_expiry_timestamp_seconds) - time()"

SAFETY: Final = Group(
    component="safety",
    alerts=(
        Alert(
            name="AuditStopped",
            severity="critical",
            expr="min_over_time(sum(aether_audit_lag)[5m:1m]) > 0 and on ()"
            " sum(rate(aether_audit_entries_total[5m])) == 0",
            holds="2m",
            summary="The audit log takes nothing more.",
            description="{{ $value }} messages wait for the auditor, and it has added 0 entries for 5 minutes; as"
            " long as that"
            " is so, nothing is written anywhere.",
            cases=(
                Case(
                    what="messages wait, nothing is added",
                    series={_LAG: "0x5 12x40", _ENTRIES: "0+10x5 50x40"},
                    at="30m",
                    fires=(
                        Expected(
                            labels={},
                            summary="The audit log takes nothing more.",
                            description="12 messages wait for the auditor, and it has added 0 entries for 5 minutes; as"
                            " long as that is so, nothing is written anywhere.",
                        ),
                    ),
                ),
                Case(what="busy", series={_LAG: "12x40", _ENTRIES: "0+10x40"}, at="30m"),
                Case(what="quiet", series={_LAG: "0x40", _ENTRIES: "50x40"}, at="30m"),
            ),
        ),
        Alert(
            name="AuditBehind",
            severity="warning",
            expr="sum(aether_audit_lag) > 5000",
            holds="10m",
            summary="The audit log is behind.",
            description="{{ $value }} messages are not in the log yet, for more than 10 minutes; up to 5000 pass"
            " while large"
            " plans are written.",
            cases=(
                Case(
                    what="nine thousand in two streams",
                    series={_LAG: "4000x40", 'aether_audit_lag{stream="LEDGER"}': "5000x40"},
                    at="30m",
                    fires=(
                        Expected(
                            labels={},
                            summary="The audit log is behind.",
                            description="9000 messages are not in the log yet, for more than 10 minutes; up to"
                            " 5000 pass"
                            " while large plans are written.",
                        ),
                    ),
                ),
                Case(what="a large plan of five minutes", series={_LAG: "0x10 9000x5 0x40"}, at="20m"),
            ),
        ),
        Alert(
            name="CheckpointsMissing",
            severity="critical",
            expr="sum(increase(aether_audit_entries_total[30m])) > 0"
            " and on () sum(increase(aether_audit_checkpoints_total[30m])) == 0",
            holds="5m",
            summary="The audit log grows and is not signed.",
            description="The log grew by {{ $value | humanize }} entries within 30 minutes, and 0 checkpoints"
            " were signed.",
            cases=(
                Case(
                    what="entries without a checkpoint",
                    series={_ENTRIES: "0+10x60", _CHECKPOINTS: "4x60"},
                    at="50m",
                    fires=(
                        Expected(
                            labels={},
                            summary="The audit log grows and is not signed.",
                            description="The log grew by 300 entries within 30 minutes, and 0 checkpoints were signed.",
                        ),
                    ),
                ),
                Case(what="both grow", series={_ENTRIES: "0+10x60", _CHECKPOINTS: "0+1x60"}, at="50m"),
                Case(what="neither grows", series={_ENTRIES: "10x60", _CHECKPOINTS: "4x60"}, at="50m"),
            ),
        ),
        Alert(
            name="AlarmRaised",
            severity="critical",
            expr=f"sum by (service, code) ({rise('aether_alarms_total', '30m')}) > 0",
            summary="{{ $labels.service }} refused a forgery or found a defect.",
            description="{{ $labels.service }} raised {{ $value | humanize }} alarms of {{ $labels.code }} within"
            " 30 minutes; 0"
            " are expected.",
            cases=(
                Case(
                    what="the first one ever",
                    series={_ALARM: "_x60 1x60"},
                    at="70m",
                    fires=(
                        Expected(
                            labels={"service": "applier", "code": "APL_PLAN_ALTERED"},
                            summary="applier refused a forgery or found a defect.",
                            description="applier raised 1 alarms of APL_PLAN_ALTERED within 30 minutes; 0 are"
                            " expected.",
                        ),
                    ),
                ),
                Case(what="one, two hours ago", series={_ALARM: "_x5 1x175"}, at="130m"),
            ),
        ),
        Alert(
            name="UnauthorisedPublish",
            severity="critical",
            expr=f"sum by (service, act) ({rise('aether_bus_permission_refusals_total', '30m')}) > 0",
            summary="{{ $labels.service }} tried what it may not.",
            description="The bus refused {{ $value | humanize }} acts ({{ $labels.act }}) of {{ $labels.service"
            " }} within 30"
            " minutes; 0 are expected.",
            cases=(
                Case(
                    what="the first one ever",
                    series={_REFUSED: "_x60 1x60"},
                    at="70m",
                    fires=(
                        Expected(
                            labels={"service": "differ", "act": "publish"},
                            summary="differ tried what it may not.",
                            description="The bus refused 1 acts (publish) of differ within 30 minutes; 0 are expected.",
                        ),
                    ),
                ),
                Case(what="one, two hours ago", series={_REFUSED: "1x180"}, at="130m"),
            ),
        ),
        Alert(
            name="ConnectionQuarantined",
            severity="critical",
            expr="max by (connection) (aether_connection_quarantined) == 1",
            holds="5m",
            summary="Nothing is written over {{ $labels.connection }}.",
            description="The credential of {{ $labels.connection }} was refused, and 0 changes are written over"
            " it until"
            " somebody renews it.",
            cases=(
                Case(
                    what="for ten minutes",
                    series={'aether_connection_quarantined{connection="google"}': "0x5 1x20"},
                    at="15m",
                    fires=(
                        Expected(
                            labels={"connection": "google"},
                            summary="Nothing is written over google.",
                            description="The credential of google was refused, and 0 changes are written over it until"
                            " somebody renews it.",
                        ),
                    ),
                ),
                Case(
                    what="renewed at once",
                    series={'aether_connection_quarantined{connection="google"}': "1x2 0x20"},
                    at="9m",
                ),
            ),
        ),
        Alert(
            name="CertificateEnds",
            severity="warning",
            expr=f"{_CERTIFICATE_LEFT} < 1814400",
            summary="The certificate {{ $labels.name }} ends soon.",
            description="The certificate {{ $labels.name }} ends in {{ $value | humanizeDuration }}; 21 days"
            " before is the time to"
            " renew it.",
            cases=(
                Case(
                    what="in ten days",
                    series={_CERTIFICATE: "864600x30"},
                    at="10m",
                    fires=(
                        Expected(
                            labels={"name": "bus"},
                            summary="The certificate bus ends soon.",
                            description="The certificate bus ends in 10d 0h 0m 0s; 21 days before is the time to"
                            " renew it.",
                        ),
                    ),
                ),
                Case(
                    what="in one day",
                    series={_CERTIFICATE: "87000x30"},
                    at="10m",
                    fires=(
                        Expected(
                            labels={"name": "bus"},
                            summary="The certificate bus ends soon.",
                            description="The certificate bus ends in 1d 0h 0m 0s; 21 days before is the time to renew"
                            " it.",
                        ),
                    ),
                ),
                Case(what="in thirty days", series={_CERTIFICATE: "2592000x30"}, at="10m"),
            ),
        ),
        Alert(
            name="CertificateEnds",
            severity="critical",
            expr=f"{_CERTIFICATE_LEFT} < 259200",
            summary="The certificate {{ $labels.name }} ends within three days.",
            description="The certificate {{ $labels.name }} ends in {{ $value | humanizeDuration }}; then"
            " programs cannot connect"
            " any more.",
            cases=(
                Case(
                    what="in one day",
                    series={_CERTIFICATE: "87000x30"},
                    at="10m",
                    fires=(
                        Expected(
                            labels={"name": "bus"},
                            summary="The certificate bus ends within three days.",
                            description="The certificate bus ends in 1d 0h 0m 0s; then programs cannot connect"
                            " any more.",
                        ),
                    ),
                ),
                Case(what="in thirty days", series={_CERTIFICATE: "2592000x30"}, at="10m"),
            ),
        ),
        Alert(
            name="CredentialEnds",
            severity="warning",
            expr=f"{_CREDENTIAL_LEFT} < 1209600",
            summary="The credential of {{ $labels.connection }} ends soon.",
            description="{{ $labels.setting }} of {{ $labels.connection }} ends in {{ $value | humanizeDuration"
            " }}; 14 days before"
            " is the time to renew it.",
            cases=(
                Case(
                    what="in ten days",
                    series={_CREDENTIAL: "864600x30"},
                    at="10m",
                    fires=(
                        Expected(
                            labels={"connection": "google", "setting": "key"},
                            summary="The credential of google ends soon.",
                            description="key of google ends in 10d 0h 0m 0s; 14 days before is the time to renew it.",
                        ),
                    ),
                ),
                Case(what="in thirty days", series={_CREDENTIAL: "2592000x30"}, at="10m"),
            ),
        ),
        Alert(
            name="CredentialOld",
            severity="warning",
            expr="time() - max by (connection, setting) (aether_credential_changed_timestamp_seconds) > 31536000",
            holds="1h",
            summary="The credential of {{ $labels.connection }} is older than a year.",
            description="{{ $labels.setting }} of {{ $labels.connection }} was written {{ $value |"
            " humanizeDuration }} ago; it"
            " should change once in 365 days.",
            cases=(
                Case(
                    what="four hundred days",
                    series={_OLD: "-34552800x200"},
                    at="120m",
                    fires=(
                        Expected(
                            labels={"connection": "hr", "setting": "password"},
                            summary="The credential of hr is older than a year.",
                            description="password of hr was written 400d 0h 0m 0s ago; it should change once in"
                            " 365 days.",
                        ),
                    ),
                ),
                Case(
                    what="a month",
                    series={_OLD: "-2592000x200"},
                    at="120m",
                ),
            ),
        ),
        Alert(
            name="NoticesLost",
            severity="critical",
            expr=f"sum by (channel) ({rise('aether_notices_total', '1h', _WAS_GIVEN_UP)}) > 0",
            summary="People were not told over {{ $labels.channel }}.",
            description="{{ $value | humanize }} notices over {{ $labels.channel }} were given up within an hour;"
            " 0 are expected.",
            cases=(
                Case(
                    what="one",
                    series={_GIVEN_UP: "0x60 1x60"},
                    at="100m",
                    fires=(
                        Expected(
                            labels={"channel": "mail"},
                            summary="People were not told over mail.",
                            description="1 notices over mail were given up within an hour; 0 are expected.",
                        ),
                    ),
                ),
                Case(what="all are taken", series={_GIVEN_UP: "0x120", _SENT: "0+1x120"}, at="100m"),
            ),
        ),
        Alert(
            name="NoticesFail",
            severity="warning",
            expr='sum by (channel) (increase(aether_notices_total{outcome="failed"}[15m])) > 0 unless on (channel)'
            ' (sum by (channel) (increase(aether_notices_total{outcome=~"sent|summarised"}[15m])) > 0)',
            holds="15m",
            summary="The channel {{ $labels.channel }} takes no notice.",
            description="{{ $value | humanize }} tries over {{ $labels.channel }} failed within 15 minutes, and 0"
            " notices were"
            " taken.",
            cases=(
                Case(
                    what="the mail server is away",
                    series={_FAILED: "0+1x60", _SENT: "7x60"},
                    at="50m",
                    fires=(
                        Expected(
                            labels={"channel": "mail"},
                            summary="The channel mail takes no notice.",
                            description="15 tries over mail failed within 15 minutes, and 0 notices were taken.",
                        ),
                    ),
                ),
                Case(
                    what="only summaries were taken",
                    series={
                        _FAILED: "0+1x60",
                        _SENT.replace('"sent"', '"summarised"'): "0+1x60",
                    },
                    at="50m",
                ),
                Case(what="a second try is taken", series={_FAILED: "0+1x60", _SENT: "0+1x60"}, at="50m"),
            ),
        ),
    ),
)
