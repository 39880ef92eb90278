"""Dashboards for Grafana, made from values of Python and checked before they are written."""
