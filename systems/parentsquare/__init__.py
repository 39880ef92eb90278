"""ParentSquare, as data; `systems.files` reads and writes it."""
