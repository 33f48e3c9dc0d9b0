"""What the servers on this host's ports have in common: listening, request targets and JSON as Go has them."""
