"""Catapult EMS, as data; `systems.files` reads and writes it."""
