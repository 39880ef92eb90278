"""Snipe-IT: the district's assets and who has them, read and written over its REST API."""
