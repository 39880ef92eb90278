"""The monitor: the house's figures for Prometheus, and notices to people."""
