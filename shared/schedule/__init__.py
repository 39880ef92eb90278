"""Schedules: when a connector is due, what leaves a time out, and what becomes of it. Pure."""
