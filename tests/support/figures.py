"""Holds what a program gives at /metrics against the table of figures."""

from __future__ import annotations

from typing import Final

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from shared.telemetry.figures import FIGURE, FIGURES, Figure

OF_LIBRARIES: Final = ("process_", "python_", "faststream_")
"""What these tell by themselves; the table is of our own."""
ADDED: Final = frozenset({"le"})
"""A label that Prometheus itself puts to the buckets of a histogram."""


def is_given_by(row: Figure, service: str) -> bool:
    """Whether the table says that this program gives the figure."""
    return row.service == "every" or service in row.service.replace(" and ", ", ").split(", ")


def faults_of(text: str, service: str) -> list[str]:
    """Where the answer of a program and the table differ."""
    told = {_name(family): family for family in text_string_to_metric_families(text)}
    own = {name: family for name, family in told.items() if not name.startswith(OF_LIBRARIES)}
    faults = [f"{service}: {name} is not in the table" for name in own if name not in FIGURE]
    for name, family in own.items():
        row = FIGURE.get(name)
        if row is None:
            continue
        if not is_given_by(row, service):
            faults.append(f"{service} gives {name}, which the table says is given by {row.service}")
        if family.type != row.kind:
            faults.append(f"{service}: {name} is a {family.type}, in the table a {row.kind}")
        for sample in family.samples:
            if set(sample.labels) - ADDED != set(row.labels):
                faults.append(f"{service}: {sample.name} has the labels {sorted(sample.labels)}, not {row.labels}")
                break
    missing = [row.name for row in FIGURES if is_given_by(row, service) and row.name not in own]
    return faults + [f"{service} does not give {name}" for name in missing]


def value_of(text: str, sample: str, **labels: str) -> float | None:
    """The value of one sample; None where there is none."""
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == sample and one.labels == labels:
                return float(one.value)
    return None


def _name(family: Metric) -> str:
    """As the table spells it: the parser takes the ending off a counter."""
    return f"{family.name}_total" if family.type == "counter" else family.name
