"""Settings of the agent: what there is, what was given, and where it came from."""
