"""The rules that decide whether a plan may go on: the guard's limits and what an approval must show. Pure."""
