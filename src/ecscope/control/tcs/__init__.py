"""The agents' sockets: telemetry from the server's side. Holds no rule."""
