"""Alerts on the programs themselves: whether they run, restart, agree in their release, and have room."""

from __future__ import annotations

from typing import Final

from deploy.prometheus.alerting.model import Alert, Case, Expected, Group

SERVICES: Final = ("extractor", "differ", "applier", "auditor", "console", "monitor")
ALL_UP: Final = {f'up{{job="aether",service="{name}",instance="{name}:9100"}}': "1x60" for name in SERVICES}

_WANTED: Final = " or ".join(f'label_replace(vector(0), "service", "{name}", "", "")' for name in SERVICES)
_ROOM: Final = "min by (service, place) (aether_disk_free_bytes / aether_disk_size_bytes)"
_SIZE: Final = 'aether_disk_size_bytes{service="differ",place="data"}'
_FREE: Final = 'aether_disk_free_bytes{service="differ",place="data"}'


def _up_but(**values: str) -> dict[str, str]:
    found = dict(ALL_UP)
    for service, line in values.items():
        found[f'up{{job="aether",service="{service}",instance="{service}:9100"}}'] = line
    return found


PROGRAMS: Final = Group(
    component="programs",
    alerts=(
        Alert(
            name="Heartbeat",
            severity="none",
            expr='max(up{job="prometheus"}) == 1',
            summary="Prometheus evaluates its rules and reaches Alertmanager.",
            description="This alert fires always. Whoever receives it raises the alarm when it does not come.",
            cases=(
                Case(
                    what="Prometheus sees itself",
                    series={'up{job="prometheus",instance="127.0.0.1:9090"}': "1x10"},
                    at="5m",
                    fires=(
                        Expected(
                            labels={},
                            summary="Prometheus evaluates its rules and reaches Alertmanager.",
                            description="This alert fires always. Whoever receives it raises the alarm when it does"
                            " not come.",
                        ),
                    ),
                ),
                Case(what="it does not", series={'up{job="prometheus",instance="127.0.0.1:9090"}': "0x10"}, at="5m"),
            ),
        ),
        Alert(
            name="ServiceDown",
            severity="critical",
            expr=f'({_WANTED}) unless on (service) (up{{job="aether"}} == 1)',
            holds="2m",
            summary="No {{ $labels.service }} runs.",
            description="Prometheus has reached no {{ $labels.service }} for 2 minutes; at least 1 is needed.",
            cases=(
                Case(
                    what="the only applier does not answer",
                    series=_up_but(applier="1x5 0x20"),
                    at="10m",
                    fires=(
                        Expected(
                            labels={"service": "applier"},
                            summary="No applier runs.",
                            description="Prometheus has reached no applier for 2 minutes; at least 1 is needed.",
                        ),
                    ),
                ),
                Case(
                    what="the monitor is not even known any more",
                    series={name: line for name, line in ALL_UP.items() if "monitor" not in name},
                    at="10m",
                    fires=(
                        Expected(
                            labels={"service": "monitor"},
                            summary="No monitor runs.",
                            description="Prometheus has reached no monitor for 2 minutes; at least 1 is needed.",
                        ),
                    ),
                ),
                Case(what="a restart of one minute", series=_up_but(applier="1x5 0x0 1x20"), at="7m"),
                Case(
                    what="another replica runs",
                    series=_up_but(applier="0x30") | {'up{job="aether",service="applier",instance="b:9100"}': "1x30"},
                    at="20m",
                ),
            ),
        ),
        Alert(
            name="ReplicaDown",
            severity="warning",
            expr='up{job="aether"} == 0',
            holds="10m",
            summary="A {{ $labels.service }} does not answer.",
            description="{{ $labels.service }} at {{ $labels.instance }} has not answered for 10 minutes.",
            cases=(
                Case(
                    what="one of two differs is away",
                    series={
                        'up{job="aether",service="differ",instance="a:9100"}': "1x30",
                        'up{job="aether",service="differ",instance="b:9100"}': "0x30",
                    },
                    at="15m",
                    fires=(
                        Expected(
                            labels={"job": "aether", "service": "differ", "instance": "b:9100"},
                            summary="A differ does not answer.",
                            description="differ at b:9100 has not answered for 10 minutes.",
                        ),
                    ),
                ),
                Case(what="all answer", series=ALL_UP, at="15m"),
            ),
        ),
        Alert(
            name="ProgramRestarts",
            severity="warning",
            expr='changes(process_start_time_seconds{job="aether"}[30m]) > 3',
            summary="{{ $labels.service }} starts again and again.",
            description="{{ $labels.service }} at {{ $labels.instance }} has started {{ $value }} times in 30 minutes;"
            " more than 3 are too many.",
            cases=(
                Case(
                    what="four starts",
                    series={
                        'process_start_time_seconds{job="aether",service="applier",instance="a:9100"}': "1x5"
                        " 100x5 200x5"
                        " 300x5 400x5"
                    },
                    at="29m",
                    fires=(
                        Expected(
                            labels={"job": "aether", "service": "applier", "instance": "a:9100"},
                            summary="applier starts again and again.",
                            description="applier at a:9100 has started 4 times in 30 minutes; more than 3 are too"
                            " many.",
                        ),
                    ),
                ),
                Case(
                    what="one update",
                    series={
                        'process_start_time_seconds{job="aether",service="applier",instance="a:9100"}': "1x5 100x25"
                    },
                    at="29m",
                ),
            ),
        ),
        Alert(
            name="ReleasesDiffer",
            severity="warning",
            expr="count(count by (version) (aether_build_info)) > 1",
            holds="1h",
            summary="Programs of different releases run side by side.",
            description="Programs of {{ $value }} releases have run side by side for an hour; 1 is intended"
            " outside of an"
            " update.",
            cases=(
                Case(
                    what="one was forgotten",
                    series={
                        'aether_build_info{service="differ",version="1.0.0"}': "1x90",
                        'aether_build_info{service="applier",version="1.1.0"}': "1x90",
                    },
                    at="80m",
                    fires=(
                        Expected(
                            labels={},
                            summary="Programs of different releases run side by side.",
                            description="Programs of 2 releases have run side by side for an hour; 1 is intended"
                            " outside"
                            " of an update.",
                        ),
                    ),
                ),
                Case(
                    what="an update under way",
                    series={
                        'aether_build_info{service="differ",version="1.0.0"}': "1x20 _x70",
                        'aether_build_info{service="differ",version="1.1.0"}': "_x10 1x80",
                    },
                    at="80m",
                ),
            ),
        ),
        Alert(
            name="DiskLow",
            severity="warning",
            expr=f"{_ROOM} < 0.15",
            holds="10m",
            summary="The disk of {{ $labels.service }} is getting full.",
            description="{{ $value | humanizePercentage }} of the disk under the folder {{ $labels.place }} of"
            " {{ $labels.service }} is free; below 15% there is little time.",
            cases=(
                Case(
                    what="a tenth is left",
                    series={_FREE: "10x30", _SIZE: "100x30"},
                    at="20m",
                    fires=(
                        Expected(
                            labels={"service": "differ", "place": "data"},
                            summary="The disk of differ is getting full.",
                            description="10% of the disk under the folder data of differ is free; below 15% there is"
                            " little time.",
                        ),
                    ),
                ),
                Case(what="a fifth is left", series={_FREE: "20x30", _SIZE: "100x30"}, at="20m"),
            ),
        ),
        Alert(
            name="DiskLow",
            severity="critical",
            expr=f"{_ROOM} < 0.05",
            holds="2m",
            summary="The disk of {{ $labels.service }} is full in a moment.",
            description="{{ $value | humanizePercentage }} of the disk under the folder {{ $labels.place }} of"
            " {{ $labels.service }} is free; below 5% runs fail any minute.",
            cases=(
                Case(
                    what="two in a hundred are left",
                    series={_FREE: "50x10 2x5", _SIZE: "100x30"},
                    at="15m",
                    fires=(
                        Expected(
                            labels={"service": "differ", "place": "data"},
                            summary="The disk of differ is full in a moment.",
                            description="2% of the disk under the folder data of differ is free; below 5% runs fail any"
                            " minute.",
                        ),
                    ),
                ),
                Case(what="a fifth is left", series={_FREE: "20x30", _SIZE: "100x30"}, at="20m"),
            ),
        ),
        Alert(
            name="DiskFills",
            severity="warning",
            expr="0 - min by (service, place) (predict_linear(aether_disk_free_bytes[3h], 86400)) > 0"
            f" and on (service, place) ({_ROOM} < 0.5)",
            holds="30m",
            summary="The disk of {{ $labels.service }} will be full within a day.",
            description="As the last 3 hours went on, the disk under the folder {{ $labels.place }} of"
            " {{ $labels.service }} will lack {{ $value | humanize1024 }}B in 24 hours.",
            cases=(
                Case(
                    what="a hundred MiB a minute",
                    series={_FREE: "107374182400-104857600x240", _SIZE: "429496729600x240"},
                    at="220m",
                    fires=(
                        Expected(
                            labels={"service": "differ", "place": "data"},
                            summary="The disk of differ will be full within a day.",
                            description="As the last 3 hours went on, the disk under the folder data of differ"
                            " will lack"
                            " 62.11GiB in 24 hours.",
                        ),
                    ),
                ),
                Case(what="nothing grows", series={_FREE: "107374182400x240", _SIZE: "429496729600x240"}, at="220m"),
            ),
        ),
        Alert(
            name="FilesExhausted",
            severity="warning",
            expr='process_open_fds{job="aether"} / process_max_fds{job="aether"} > 0.8',
            holds="10m",
            summary="{{ $labels.service }} has nearly as many files open as it may.",
            description="{{ $labels.service }} at {{ $labels.instance }} uses {{ $value | humanizePercentage }}"
            " of the files"
            " and connections that it may have open; allowed are 80%.",
            cases=(
                Case(
                    what="nine of ten",
                    series={
                        'process_open_fds{job="aether",service="console",instance="a:9100"}': "900x30",
                        'process_max_fds{job="aether",service="console",instance="a:9100"}': "1000x30",
                    },
                    at="20m",
                    fires=(
                        Expected(
                            labels={"job": "aether", "service": "console", "instance": "a:9100"},
                            summary="console has nearly as many files open as it may.",
                            description="console at a:9100 uses 90% of the files and connections that it may have open;"
                            " allowed are 80%.",
                        ),
                    ),
                ),
                Case(
                    what="a few",
                    series={
                        'process_open_fds{job="aether",service="console",instance="a:9100"}': "30x30",
                        'process_max_fds{job="aether",service="console",instance="a:9100"}': "1000x30",
                    },
                    at="20m",
                ),
            ),
        ),
    ),
)
