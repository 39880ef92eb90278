"""Canonical bytes, digests, Merkle proofs, commitments and signatures: what two programs must compute alike.

Import the module you need (`shared.hashing.merkle`, ...); nothing is re-exported here, so that a program which only
hashes does not load the signing library.
"""
