"""The agents' sockets: ACS from the server's side. Holds no rule."""
