"""Docker's default bridge, as the host sees it.

Source: introspection-api.md §1.3; task-metadata-api.md §1.
"""

BRIDGE = "docker0"
"""The interface by which containers in network mode bridge reach the host."""
