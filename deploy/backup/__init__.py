"""Backup and restore of a house: the streams of the bus and the databases of the services."""
