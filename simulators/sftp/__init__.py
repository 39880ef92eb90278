"""A vendor's drop box: an SFTP server over real sockets, with faults, switches and a journal."""
