"""Whole surroundings for one connector: simulated systems, databases, files and what a connection must say of them."""
