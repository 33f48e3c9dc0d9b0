"""CloudWatch Logs: groups and streams, the events in them, and the files they are in."""
