"""What the house says of itself: logs for people, metrics for machines."""
