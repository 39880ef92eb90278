"""How a simulated Snipe-IT behaves where releases, settings and known bugs differ; the defaults are the honest ones."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from simulators.kit.switches import Switches


class SnipeSwitches(Switches):
    """The release, the settings of the installation, and the bugs that it has."""

    release: Literal["8.1.4", "8.6"] = "8.6"
    """Decides the shape of a 429, the columns `mobile` and `display_name`, the `status` of an asset and the rule that
    an end date is not before the start date."""
    throttle_per_minute: int | None = Field(default=120, ge=1)
    """Requests per minute and user; null for no limit, which no real server has."""
    has_throttle_cap: bool = False
    """The bug of the 8.1 era: never more than 60 a minute, whatever the setting says."""
    has_absurd_retry: bool = False
    """The bug of another release: the wait it asks for is a point in time, not a span."""
    has_numeric_throttle_message: bool = False
    """Another 429 that was seen: `{"messages": 429}`."""
    max_results: int = Field(default=500, ge=1, le=100_000)
    """The longest page, in rows; also the page of a request without a limit."""
    has_unstable_ties: bool = True
    """Rows with equal sort values change places from page to page, as a database may order them."""
    shows_archived: bool = False
    """The setting that lets the index of assets show archived ones."""
    has_automatic_tags: bool = False
    """The setting that makes asset tags where a create sends none."""
    needs_checkout_note: bool = False
    """The setting that refuses a checkout without a note."""
    has_lying_checkin: bool = False
    """The old bug: the check-in of an asset that nobody has is called a success."""
    ignores_auth_fields: bool = False
    """Every token below superuser lacks the right to edit the fields of authentication."""

    @property
    def is_newer(self) -> bool:
        """Whether the release is 8.3 or later."""
        return self.release != "8.1.4"
