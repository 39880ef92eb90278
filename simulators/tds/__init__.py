"""A small SQL Server for tests: it speaks TDS 7.4 and answers reading SQL out of SQLite files."""
