"""Bus and services: rate, errors and durations of what is asked; use, saturation and errors of what answers."""

from __future__ import annotations

from typing import Final

from deploy.grafana.boards.parts import DOWN_UP, NONE_WANTED
from deploy.grafana.building.model import (
    Colour,
    Dashboard,
    Heatmap,
    Query,
    Row,
    Stat,
    StateTimeline,
    Table,
    Thresholds,
    TimeSeries,
    Unit,
)
from deploy.prometheus.rising import rise

SERVICES: Final = Dashboard(
    uid="aether-services",
    title="Bus and services",
    sentence="The programs and the bus between them: what they take, how long it takes, what fails, what is full.",
    since="now-6h",
    rows=(
        Row(
            "What stands",
            (
                StateTimeline(
                    title="Programs",
                    sentence="Whether Prometheus reaches each program; `service` is its name, `instance` its address.",
                    unit=Unit.STATE,
                    queries=(Query(expr='min by (service) (up{job="aether"})', legend="{{service}}"),),
                    mappings=DOWN_UP,
                ),
                StateTimeline(
                    title="Bus servers",
                    sentence="Whether each server of the bus says that it is healthy.",
                    unit=Unit.STATE,
                    queries=(Query(expr="min by (server) (aether_bus_server_up)", legend="{{server}}"),),
                    mappings=DOWN_UP,
                ),
                Table(
                    title="Releases",
                    sentence="Which release each program is of, and how many of it run.",
                    unit=Unit.NUMBER,
                    labels=("service", "version"),
                    queries=(Query(expr="sum by (service, version) (aether_build_info)", legend="programs"),),
                    width=8,
                    height=6,
                ),
                Stat(
                    title="Copies of streams that lag",
                    sentence="Replicas that a stream shall have and that are not up to date, over all streams.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr="sum(max without (instance) (aether_bus_stream_replicas))"
                            " - sum(max without (instance) (aether_bus_stream_replicas_current))"
                        ),
                    ),
                    thresholds=NONE_WANTED,
                    height=6,
                ),
                Stat(
                    title="Fullest stream",
                    sentence="The largest part of its bytes that any stream has used; at 100 % a stream refuses.",
                    unit=Unit.SHARE,
                    queries=(Query(expr="max(aether_bus_stream_bytes / (aether_bus_stream_limit_bytes > 0))"),),
                    thresholds=Thresholds(((0.7, Colour.WARNING), (0.9, Colour.BAD)), base=Colour.GOOD),
                    height=6,
                ),
                Stat(
                    title="Fullest disk",
                    sentence="The largest part of a disk that is used, over all folders that programs write to.",
                    unit=Unit.SHARE,
                    queries=(Query(expr="max(1 - aether_disk_free_bytes / aether_disk_size_bytes)"),),
                    thresholds=Thresholds(((0.85, Colour.WARNING), (0.95, Colour.BAD)), base=Colour.GOOD),
                    height=6,
                ),
                Stat(
                    title="Slow clients cut off",
                    sentence="Clients that the bus cut off within the hour because they took too slowly.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(expr=f"sum(max without (instance) ({rise('aether_bus_slow_consumers_total', '1h')}))"),
                    ),
                    thresholds=NONE_WANTED,
                    height=6,
                ),
            ),
        ),
        Row(
            "Handling: rate, errors, duration",
            (
                TimeSeries(
                    title="Handled",
                    sentence="Events and commands handled a second, by what became of them.",
                    unit=Unit.PER_SECOND,
                    queries=(
                        Query(
                            expr="sum by (service, outcome) (rate(aether_handler_seconds_count[$__rate_interval]))",
                            legend="{{service}} {{outcome}}",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Deliveries by verdict",
                    sentence="What became of deliveries of the bus: taken, to be tried again, or laid among the dead"
                    " letters.",
                    unit=Unit.PER_SECOND,
                    queries=(
                        Query(
                            expr="sum by (verdict) (rate(aether_bus_verdicts_total[$__rate_interval]))",
                            legend="{{verdict}}",
                        ),
                    ),
                ),
                Heatmap(
                    title="Durations of handling",
                    sentence="How many handlings took how long, over time; its points lead to traces.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="sum by (le) (increase(aether_handler_seconds_bucket[$__rate_interval]))",
                            legend="{{le}}",
                            has_exemplars=True,
                        ),
                    ),
                    width=8,
                ),
                TimeSeries(
                    title="Waiting in the bus",
                    sentence="95th percentile of the time from a message's storing to its first delivery, by consumer.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="histogram_quantile(0.95, sum by (consumer, le)"
                            " (rate(aether_bus_wait_seconds_bucket[$__rate_interval])))",
                            legend="{{consumer}}",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Not delivered yet",
                    sentence="Messages that wait in the bus for each consumer.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="max by (consumer) (aether_bus_consumer_pending)", legend="{{consumer}}"),),
                ),
                TimeSeries(
                    title="At work, and again",
                    sentence="Messages delivered and not settled yet, and how many of these are delivered again.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(expr="max by (consumer) (aether_bus_consumer_ack_pending)", legend="{{consumer}}"),
                        Query(
                            expr="sum(max without (instance) (aether_bus_consumer_redelivered))",
                            legend="delivered again",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Dead letters",
                    sentence="Messages laid among the dead letters within the hour, by consumer and code.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (consumer, code) ({rise('aether_bus_dead_letters_total', '1h')})",
                            legend="{{consumer}} {{code}}",
                        ),
                    ),
                    thresholds=NONE_WANTED,
                    why_empty="No message was laid there since the programs started.",
                ),
                TimeSeries(
                    title="Streams",
                    sentence="Bytes of each stream.",
                    unit=Unit.BYTES,
                    queries=(Query(expr="max by (stream) (aether_bus_stream_bytes)", legend="{{stream}}"),),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Messages in streams",
                    sentence="Messages that each stream keeps.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="max by (stream) (aether_bus_stream_messages)", legend="{{stream}}"),),
                    is_stacked=True,
                ),
            ),
        ),
        Row(
            "Outside systems",
            (
                TimeSeries(
                    title="Requests by connection",
                    sentence="Requests to outside systems a second, by connection and how they ended.",
                    unit=Unit.REQUESTS_PER_SECOND,
                    queries=(
                        Query(
                            expr="sum by (connection, outcome) (rate(aether_system_requests_total[$__rate_interval]))",
                            legend="{{connection}} {{outcome}}",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Time of a request",
                    sentence="95th percentile of the time to an answer of outside systems; points lead to traces.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="histogram_quantile(0.95, sum by (connection, le)"
                            " (rate(aether_system_request_seconds_bucket[$__rate_interval])))",
                            legend="{{connection}}",
                            has_exemplars=True,
                        ),
                    ),
                ),
                TimeSeries(
                    title="Waiting for a turn",
                    sentence="95th percentile of the time that requests waited within the rate of their connection.",
                    unit=Unit.SECONDS,
                    why_empty="No connection in use has a rate.",
                    queries=(
                        Query(
                            expr="histogram_quantile(0.95, sum by (connection, le)"
                            " (rate(aether_rate_limit_wait_seconds_bucket[$__rate_interval])))",
                            legend="{{connection}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Console and resources",
            (
                TimeSeries(
                    title="Console: requests",
                    sentence="Pages and answers of the console a second, by class of status.",
                    unit=Unit.REQUESTS_PER_SECOND,
                    queries=(
                        Query(
                            expr="sum by (status) (rate(aether_console_request_seconds_count[$__rate_interval]))",
                            legend="{{status}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Console: time to answer",
                    sentence="Median and 99th percentile until the console begins to answer.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="histogram_quantile(0.5, sum by (le)"
                            " (rate(aether_console_request_seconds_bucket[$__rate_interval])))",
                            legend="median",
                        ),
                        Query(
                            expr="histogram_quantile(0.99, sum by (le)"
                            " (rate(aether_console_request_seconds_bucket[$__rate_interval])))",
                            legend="99 %",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Live pages",
                    sentence="Pages that are open and kept up to date by the console now.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="sum(aether_console_live_pages)", legend="pages"),),
                ),
                TimeSeries(
                    title="Processor",
                    sentence="Cores that each program uses.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr="sum by (service) (rate(process_cpu_seconds_total[$__rate_interval]))",
                            legend="{{service}}",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Memory",
                    sentence="Memory that each program holds.",
                    unit=Unit.BYTES,
                    queries=(Query(expr="max by (service) (process_resident_memory_bytes)", legend="{{service}}"),),
                ),
                TimeSeries(
                    title="Room on disks",
                    sentence="Free part of the disk under each folder that a program writes to.",
                    unit=Unit.SHARE,
                    queries=(
                        Query(
                            expr="min by (service, place) (aether_disk_free_bytes / aether_disk_size_bytes)",
                            legend="{{service}} {{place}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
