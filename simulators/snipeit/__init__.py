"""Snipe-IT in miniature: the asset manager's REST API with its documented habits."""
