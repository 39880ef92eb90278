"""What more than one program of the house must agree on."""
