"""A simulated Apex Learning API; README.md states its rules."""
