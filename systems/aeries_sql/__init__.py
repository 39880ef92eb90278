"""Aeries over SQL: staff and schools, read from the database of one school year."""
