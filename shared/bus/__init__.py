"""The bus as data and as a handful of plain functions: streams, users, publishing, reading, leases, delivery.

Nothing here knows what a run, a plan or a change means; it only knows where they travel, who may send them and
what a refusal looks like. Every program of the house passes through it; outside systems never do.
"""
