"""What the composition makes before its services start: secrets, certificates, the bus's configuration and streams."""
