"""A seeded sample district: two messy source databases, a vendor left as of last week, and the truth about them.

It makes what a connector reads and what it should conclude. It never reads a project module, so that its truth
is a second, independent reading of the rules. It stands before the road: everything here exists when a run begins.
"""
