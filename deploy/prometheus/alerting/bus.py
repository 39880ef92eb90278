"""Alerts on the bus: its servers, the copies and the room of its streams, and what its consumers leave lying."""

from __future__ import annotations

from typing import Final

from deploy.prometheus.alerting.model import Alert, Case, Expected, Group
from deploy.prometheus.rising import rise

_UP: Final = "max by (server) (aether_bus_server_up)"
_THREE: Final = {f'aether_bus_server_up{{server="nats{number}"}}': "1x60" for number in (1, 2, 3)}
_PART: Final = (
    'max by (stream) (aether_bus_stream_bytes{stream=~"CORE|LEDGER|PLAN|SNAP|DLQ"})'
    " / max by (stream) (aether_bus_stream_limit_bytes > 0)"
)
_BYTES: Final = 'aether_bus_stream_bytes{stream="LEDGER"}'
_LIMIT: Final = 'aether_bus_stream_limit_bytes{stream="LEDGER"}'
_PENDING: Final = 'aether_bus_consumer_pending{stream="CORE",consumer="differ"}'
_ACKED: Final = 'aether_bus_verdicts_total{consumer="differ",verdict="ack"}'

BUS: Final = Group(
    component="bus",
    alerts=(
        Alert(
            name="BusDown",
            severity="critical",
            expr=f"2 * sum({_UP}) <= count({_UP})",
            holds="1m",
            summary="The bus takes nothing: most of its servers are away.",
            description="{{ $value | humanize }} is twice the number of healthy servers of the bus, and no more"
            " than their"
            " number; nothing is stored, and so nothing runs.",
            cases=(
                Case(
                    what="two of three are away",
                    series=_THREE | {f'aether_bus_server_up{{server="nats{n}"}}': "1x5 0x20" for n in (2, 3)},
                    at="10m",
                    fires=(
                        Expected(
                            labels={},
                            summary="The bus takes nothing: most of its servers are away.",
                            description="2 is twice the number of healthy servers of the bus, and no more than their"
                            " number; nothing is stored, and so nothing runs.",
                        ),
                    ),
                ),
                Case(
                    what="one of three is away",
                    series=_THREE | {'aether_bus_server_up{server="nats2"}': "1x5 0x20"},
                    at="10m",
                ),
                Case(
                    what="one server, and it is healthy",
                    series={'aether_bus_server_up{server="nats"}': "1x20"},
                    at="9m",
                ),
            ),
        ),
        Alert(
            name="BusServerDown",
            severity="warning",
            expr=f"{_UP} == 0",
            holds="2m",
            summary="A server of the bus is away.",
            description="{{ $labels.server }} has not been healthy for 2 minutes; the others carry on, and one"
            " more may not"
            " fail.",
            cases=(
                Case(
                    what="one of three is away",
                    series=_THREE | {'aether_bus_server_up{server="nats2"}': "1x5 0x20"},
                    at="10m",
                    fires=(
                        Expected(
                            labels={"server": "nats2"},
                            summary="A server of the bus is away.",
                            description="nats2 has not been healthy for 2 minutes; the others carry on, and one"
                            " more may"
                            " not fail.",
                        ),
                    ),
                ),
                Case(
                    what="a restart of one minute",
                    series=_THREE | {'aether_bus_server_up{server="nats2"}': "1x5 0x0 1x20"},
                    at="8m",
                ),
            ),
        ),
        Alert(
            name="StreamReplicasMissing",
            severity="warning",
            expr="max by (stream) (aether_bus_stream_replicas) - max by (stream)"
            " (aether_bus_stream_replicas_current) > 0",
            holds="5m",
            summary="A stream has fewer copies than it shall have.",
            description="{{ $labels.stream }} lacks {{ $value }} of its copies for 5 minutes; the loss of one"
            " more server"
            " may stop it.",
            cases=(
                Case(
                    what="one copy behind",
                    series={
                        'aether_bus_stream_replicas{stream="CORE"}': "3x30",
                        'aether_bus_stream_replicas_current{stream="CORE"}': "3x5 2x25",
                    },
                    at="15m",
                    fires=(
                        Expected(
                            labels={"stream": "CORE"},
                            summary="A stream has fewer copies than it shall have.",
                            description="CORE lacks 1 of its copies for 5 minutes; the loss of one more server may stop"
                            " it.",
                        ),
                    ),
                ),
                Case(
                    what="a server was away for two minutes",
                    series={
                        'aether_bus_stream_replicas{stream="CORE"}': "3x30",
                        'aether_bus_stream_replicas_current{stream="CORE"}': "3x5 2x1 3x25",
                    },
                    at="15m",
                ),
            ),
        ),
        Alert(
            name="StreamFull",
            severity="warning",
            expr=f"{_PART} > 0.7",
            holds="10m",
            summary="A stream is getting full.",
            description="{{ $labels.stream }} has used {{ $value | humanizePercentage }} of its bytes; at 100% it"
            " refuses"
            " what is new.",
            cases=(
                Case(
                    what="three quarters",
                    series={_BYTES: "75x30", _LIMIT: "100x30"},
                    at="20m",
                    fires=(
                        Expected(
                            labels={"stream": "LEDGER"},
                            summary="A stream is getting full.",
                            description="LEDGER has used 75% of its bytes; at 100% it refuses what is new.",
                        ),
                    ),
                ),
                Case(what="half", series={_BYTES: "50x30", _LIMIT: "100x30"}, at="20m"),
                Case(
                    what="a stream of which the oldest goes",
                    series={
                        'aether_bus_stream_bytes{stream="BUDGET"}': "99x30",
                        'aether_bus_stream_limit_bytes{stream="BUDGET"}': "100x30",
                    },
                    at="20m",
                ),
            ),
        ),
        Alert(
            name="StreamFull",
            severity="critical",
            expr=f"{_PART} > 0.9",
            holds="2m",
            summary="A stream refuses soon.",
            description="{{ $labels.stream }} has used {{ $value | humanizePercentage }} of its bytes; at 100% it"
            " refuses"
            " what is new, and runs stop.",
            cases=(
                Case(
                    what="nineteen of twenty",
                    series={_BYTES: "50x10 95x5", _LIMIT: "100x30"},
                    at="15m",
                    fires=(
                        Expected(
                            labels={"stream": "LEDGER"},
                            summary="A stream refuses soon.",
                            description="LEDGER has used 95% of its bytes; at 100% it refuses what is new, and"
                            " runs stop.",
                        ),
                    ),
                ),
                Case(what="half", series={_BYTES: "50x30", _LIMIT: "100x30"}, at="20m"),
            ),
        ),
        Alert(
            name="ConsumerStuck",
            severity="critical",
            expr='max by (consumer) (min_over_time(aether_bus_consumer_pending{consumer!~"auditor_.*"}[15m])) > 0'
            ' unless on (consumer) (sum by (consumer) (rate(aether_bus_verdicts_total{verdict="ack"}[15m])) > 0)',
            holds="5m",
            summary="Messages wait for {{ $labels.consumer }} and none is taken.",
            description="At least {{ $value }} messages have waited for {{ $labels.consumer }} for 15 minutes,"
            " and it has"
            " settled 0.",
            cases=(
                Case(
                    what="nothing is settled",
                    series={_PENDING: "0x5 7x60", _ACKED: "100x65"},
                    at="40m",
                    fires=(
                        Expected(
                            labels={"consumer": "differ"},
                            summary="Messages wait for differ and none is taken.",
                            description="At least 7 messages have waited for differ for 15 minutes, and it has"
                            " settled 0.",
                        ),
                    ),
                ),
                Case(what="a queue that moves", series={_PENDING: "7x65", _ACKED: "100+10x65"}, at="40m"),
            ),
        ),
        Alert(
            name="SlowClients",
            severity="warning",
            expr=f"sum by (server) (max without (instance) ({rise('aether_bus_slow_consumers_total', '30m')})) > 0",
            summary="The bus cut a client off because it took too slowly.",
            description="{{ $labels.server }} cut off {{ $value | humanize }} clients within 30 minutes; 0 are"
            " expected.",
            cases=(
                Case(
                    what="the first one",
                    series={'aether_bus_slow_consumers_total{server="nats1"}': "0x60 1x10"},
                    at="65m",
                    fires=(
                        Expected(
                            labels={"server": "nats1"},
                            summary="The bus cut a client off because it took too slowly.",
                            description="nats1 cut off 1 clients within 30 minutes; 0 are expected.",
                        ),
                    ),
                ),
                Case(
                    what="three, long ago",
                    series={'aether_bus_slow_consumers_total{server="nats1"}': "3x120"},
                    at="110m",
                ),
            ),
        ),
        Alert(
            name="DeadLetters",
            severity="warning",
            expr=f"sum by (consumer, code) ({rise('aether_bus_dead_letters_total', '1h')}) > 0",
            summary="A message could not be worked off.",
            description="{{ $labels.consumer }} laid {{ $value | humanize }} messages among the dead letters"
            " within an hour,"
            " for {{ $labels.code }}; 0 are expected.",
            cases=(
                Case(
                    what="the first one ever",
                    series={'aether_bus_dead_letters_total{consumer="differ",code="SYS_UNDECODABLE"}': "_x60 1x60"},
                    at="70m",
                    fires=(
                        Expected(
                            labels={"consumer": "differ", "code": "SYS_UNDECODABLE"},
                            summary="A message could not be worked off.",
                            description="differ laid 1 messages among the dead letters within an hour, for"
                            " SYS_UNDECODABLE; 0 are expected.",
                        ),
                    ),
                ),
                Case(
                    what="one, three hours ago",
                    series={'aether_bus_dead_letters_total{consumer="differ",code="SYS_UNDECODABLE"}': "1x240"},
                    at="180m",
                ),
            ),
        ),
    ),
)
