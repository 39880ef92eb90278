"""What every program tells of itself: which release it is, how much room its folders have, and what it uses.

Disks are looked at when somebody asks for the figures. A folder that is not there yet stands for the one above it.
"""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, disable_created_metrics
from prometheus_client.registry import Collector

from shared.telemetry.families import gauge_family

PACKAGE: Final = "aether-integrator"


def release() -> str:
    """The release that is installed; `unknown` where it runs from a folder without being installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def tell_program(registry: CollectorRegistry, *, service: str, places: Mapping[str, Path]) -> None:
    """Add the figures of this program; `places` names the folders it writes to."""
    # The moment in which a counter was made is one more series for each of it, and nobody asks for it.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not type it
    ProcessCollector(registry=registry)
    registry.register(_Program(service, places))


class _Program(Collector):
    def __init__(self, service: str, places: Mapping[str, Path]) -> None:
        self._service = service
        self._places = places
        self._release = release()

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        info = gauge_family("aether_build_info")
        info.add_metric((self._service, self._release), 1)
        yield info
        free, size = gauge_family("aether_disk_free_bytes"), gauge_family("aether_disk_size_bytes")
        for place, folder in sorted(self._places.items()):
            try:
                usage = shutil.disk_usage(_present(folder))
            except OSError:
                continue  # no figure is better than a wrong one
            free.add_metric((place,), usage.free)
            size.add_metric((place,), usage.total)
        yield free
        yield size


def _present(folder: Path) -> Path:
    return next((one for one in (folder, *folder.parents) if one.exists()), folder)
