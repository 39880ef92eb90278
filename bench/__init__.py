"""Measurements, one command each; their numbers are printed, never asserted."""
