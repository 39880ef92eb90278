"""Aeries over its own REST API: schools, staff, students, courses, sections, rosters and enrolments."""
