"""The whole house in one process, in virtual time, with every fault decided by a seed.

The services' own handlers, dispatcher, committer, publishing, reading, leases and delivery rule run over a bus and a
vendor that are simulated; what must never happen is checked from outside. `python -m tests.simulation --help`.
"""
