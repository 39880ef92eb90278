"""A small language for dashboards: what a panel is, which queries it may hold, how it becomes Grafana's JSON."""
