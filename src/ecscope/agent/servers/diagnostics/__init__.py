"""Port 51680: what the agent knows about itself beyond the official API, for people and programs on this host.

ADR 0019.
"""
