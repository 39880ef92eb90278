"""What a system must be: the port through which every outside system is met."""
