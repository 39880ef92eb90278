"""Notices to people: each condition of the house is told once when it begins and once when it ends."""
