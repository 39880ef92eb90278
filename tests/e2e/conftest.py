"""Whole houses."""

from tests.support.road import district, other_district

__all__ = ["district", "other_district"]
