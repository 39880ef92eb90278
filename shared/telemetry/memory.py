"""How much memory this process has used at most."""

from __future__ import annotations

import resource
import sys

_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024
"""The kernel tells kilobytes, on macOS bytes."""


def memory_peak_mb() -> int:
    """The largest resident size of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _PER_MB
