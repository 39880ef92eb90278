"""A monitor that gives a notice up after twenty seconds instead of a day, and otherwise works as every other.

Its longest pause between two tries is divided like the times of the rules, so that the alert on tries sees them.
"""

from __future__ import annotations

from typing import Final
from unittest.mock import patch

from services.monitor import app
from services.monitor.notices import courier
from tests.operating.fire.rules import FACTOR

GIVEN_UP_SECONDS: Final = 20.0

if __name__ == "__main__":
    with (
        patch.object(courier, "END_GIVEN_UP_SECONDS", GIVEN_UP_SECONDS),
        patch.object(courier, "BACK_OFF_SECONDS_MAX", courier.BACK_OFF_SECONDS_MAX / FACTOR),
    ):
        app.main()
