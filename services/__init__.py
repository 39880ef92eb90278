"""The programs on the bus, in the order of a run's road: extractor, differ, applier, auditor."""
