"""What crosses the bus: the event types, how they are wrapped, and how their versions are kept compatible."""
