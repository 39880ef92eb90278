"""Apex Learning: students, staff, classrooms and enrolments, read and written over its import interface."""
