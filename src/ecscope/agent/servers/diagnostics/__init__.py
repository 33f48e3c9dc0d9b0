"""Port 51680: what the agent knows of itself and the official one does not tell, for people and programs on this host.

ADR 0019.
"""
