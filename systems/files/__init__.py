"""The family of systems that are files: in a folder or over SFTP, read whole and rewritten whole."""
