"""The applier: does what an approved plan says, and nothing else."""
