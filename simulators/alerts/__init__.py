"""Klaxon Alerts, a fictitious notification vendor, simulated over HTTP."""
