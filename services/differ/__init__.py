"""The differ: snapshots become one plan."""
