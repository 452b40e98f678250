"""The host's side of the board: ports, link protocol, flashing, benchmark."""
