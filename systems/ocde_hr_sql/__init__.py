"""The county office's HR database: people, assignments, positions and sites, read from views of an agreed shape."""
